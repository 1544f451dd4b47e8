"""What a process needs beside the science: memory, progress, workers, compiled programs, garbage collection."""
