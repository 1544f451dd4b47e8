"""Space: rings and sheets of patches, kernels of distance and their averages over patches; it knows no neuron."""

from largen.space.geometry import AbstractSpace as AbstractSpace
from largen.space.geometry import Ring as Ring
from largen.space.geometry import Torus as Torus
from largen.space.kernels import AbstractSpatialKernel as AbstractSpatialKernel
from largen.space.kernels import BoxKernel as BoxKernel
from largen.space.kernels import CosineKernel as CosineKernel
from largen.space.kernels import CustomKernel as CustomKernel
from largen.space.kernels import ExponentialKernel as ExponentialKernel
from largen.space.kernels import GaussianKernel as GaussianKernel

KERNELS = (GaussianKernel, ExponentialKernel, BoxKernel, CosineKernel, CustomKernel)
SPACES = (Ring, Torus)
