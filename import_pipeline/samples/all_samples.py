"""The sample files of `dev` and `demo`, in the order in which they are dropped."""

from import_pipeline.samples.leads import CLEAN, EVERY_FAULT, LARGE
from import_pipeline.samples.sample import Sample
from import_pipeline.samples.vehicles import DUPLICATES, STOCK

SAMPLES: tuple[Sample, ...] = (STOCK, CLEAN, EVERY_FAULT, LARGE, DUPLICATES)
