"""Finds the datasets: the built-in ones and those in modules or folders of one's own.

Names that would clash, in PostgreSQL or in Dagster, fail here, naming file and line of both.
What a dataset is stands in `dataset.py`.
"""

import hashlib
import importlib
import importlib.util
import linecache
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from import_pipeline import datasets as built_in
from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import ConfigurationError

STEPS = (
    "open_upload", "split_upload", "check_batch", "stage_batch", "find_duplicates", "publish_upload",
    "report_upload",
)  # fmt: skip
OWN_MODULES = "import_pipeline_own_datasets"


def load_datasets(datasets: str = "") -> dict[str, Dataset]:
    """All datasets by name, sorted: the built-in ones, then one's own.

    Args:
        datasets: modules, packages, `.py` files or folders (each `*.py` not beginning with `_`),
            separated by commas: the setting `IMPORT_PIPELINE_DATASETS`.

    Raises:
        ConfigurationError: a file that fails to import, has no dataset, or clashes with another.
    """
    found: dict[int, Dataset] = {}
    seen: set[str] = set()
    for module in (*_submodules(built_in), *_own_modules(datasets)):
        origin = str(Path(module.__file__ or module.__name__).resolve())
        if origin not in seen:
            seen.add(origin)
            # By identity: a dataset that one file imports from another is one dataset.
            found.update((id(d), d) for d in _datasets_of(module))
    _refuse_clashes(found.values())
    return {d.name: d for d in sorted(found.values(), key=lambda d: d.name)}


def get_dataset(datasets: Mapping[str, Dataset], name: str) -> Dataset:
    """The dataset of that name.

    Raises:
        ConfigurationError: there is none; the remedy lists those there are.
    """
    if name not in datasets:
        raise ConfigurationError(
            f"There is no dataset {name!r}.", remedy=f"Datasets: {', '.join(datasets)}.", dataset=name
        )
    return datasets[name]


def dagster_names(dataset: str) -> tuple[str, ...]:
    """The names that a dataset takes in Dagster's one namespace of ops, graphs and jobs."""
    ops = (f"{dataset}__{step}" for step in STEPS)
    return (dataset, *ops, f"import_{dataset}", f"undo_{dataset}", f"retry_failed_{dataset}")


def _own_modules(setting: str) -> Iterator[ModuleType]:
    for entry in filter(None, (part.strip() for part in setting.split(","))):
        path = Path(entry).expanduser()
        if path.is_dir():
            files = sorted(f for f in path.glob("*.py") if not f.name.startswith("_"))
            if not files:
                raise _unusable(entry, "the folder has no *.py file.")
            yield from (_load_file(f.resolve()) for f in files)
        elif path.suffix == ".py" or "/" in entry or "\\" in entry:
            if not path.is_file():
                raise _unusable(entry, "there is no such file or folder.")
            yield _load_file(path.resolve())
        else:
            module = _import(entry, entry)
            if hasattr(module, "__path__"):
                yield from _submodules(module, own=bool(_datasets_in(module)))
            else:
                yield module


def _submodules(package: ModuleType, own: bool = False) -> Iterator[ModuleType]:
    """Modules of a package whose names do not begin with `_`, itself first if `own`."""
    if own:
        yield package
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            name = f"{package.__name__}.{info.name}"
            yield _import(name, name)


def _import(name: str, entry: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ConfigurationError:
        raise
    except Exception as error:  # whatever an engineer's file raises is told with the file's name
        raise _unusable(entry, f"it fails to import: {type(error).__name__}: {error}") from error


def _load_file(path: Path) -> ModuleType:
    """Import one file by path; again only if it changed, so that its classes stay the same."""
    stat = path.stat()
    identity = f"{path}|{stat.st_mtime_ns}|{stat.st_size}"
    name = f"{OWN_MODULES}.{path.stem}_{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    linecache.checkcache(str(path))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _unusable(str(path), "it is no Python file.")
    module = importlib.util.module_from_spec(spec)
    # pandera resolves a model's annotations through sys.modules.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ConfigurationError:
        del sys.modules[name]
        raise
    except Exception as error:  # as in _import
        del sys.modules[name]
        raise _unusable(str(path), f"it fails to import: {type(error).__name__}: {error}") from error
    return module


def _datasets_of(module: ModuleType) -> list[Dataset]:
    found = _datasets_in(module)
    if not found:
        raise ConfigurationError(
            f"{module.__file__} has no dataset.",
            remedy="Add `DATASET = Dataset(...)`, or begin the file's name with `_` if it is no dataset.",
            file=module.__file__,
        )
    return found


def _datasets_in(module: ModuleType) -> list[Dataset]:
    """Datasets at module level, each once."""
    return list({id(v): v for v in vars(module).values() if isinstance(v, Dataset)}.values())


def _refuse_clashes(found: Iterable[Dataset]) -> None:
    owners: dict[tuple[str, str], Dataset] = {}
    for dataset in found:
        taken = [("name", dataset.name), ("table", dataset.table)]
        taken += [("Dagster name", name) for name in dagster_names(dataset.name)]
        for kind, name in taken:
            other = owners.setdefault((kind, name), dataset)
            if other is not dataset:
                raise ConfigurationError(
                    f"Datasets {other.name!r} ({other.where}) and {dataset.name!r} ({dataset.where})"
                    f" clash: both take the {kind} {name!r}.",
                    remedy=f"Change the {'table' if kind == 'table' else 'name'} of one of them.",
                    places=[other.where, dataset.where],
                )


def _unusable(entry: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"Datasets in {entry}: {what}",
        remedy="Correct the file, or take it out of IMPORT_PIPELINE_DATASETS.",
        entry=entry,
    )
