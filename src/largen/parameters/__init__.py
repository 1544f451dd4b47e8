"""The parameter table: each field of a model is declared once, with `parameter(...)`.

That one table feeds checks, names, files, the command line and the documentation.
"""

from largen.parameters.names import Place as Place
from largen.parameters.names import get as get
from largen.parameters.names import index_in as index_in
from largen.parameters.names import info_of as info_of
from largen.parameters.names import parse as parse
from largen.parameters.names import set_to as set_to
from largen.parameters.names import set_whole as set_whole
from largen.parameters.table import AbstractComponent as AbstractComponent
from largen.parameters.table import ParameterInfo as ParameterInfo
from largen.parameters.table import entries as entries
from largen.parameters.table import indexed_name as indexed_name
from largen.parameters.table import is_default as is_default
from largen.parameters.table import parameter as parameter
from largen.parameters.table import parameters as parameters
from largen.parameters.table import traced as traced
from largen.parameters.table import unsaid as unsaid
from largen.parameters.time_series import TimeSeries as TimeSeries
