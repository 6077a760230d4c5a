"""What the workflow's config.yaml says, checked before anything runs."""

import re
import shutil
from pathlib import Path

DEFAULTS = {
    "samples": {}, "models": [], "seeds": [0], "settings": [], "after_settings": [], "groups": "", "samples_column": "", "root": "",
    "basis": "", "results": "results", "nascent": "nascent", "threads": 2,
}
# Names become names of folders, and parts of commands.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Problem(Exception):
    """A setting that cannot be used: key, value, what was wanted, and a hint."""

    def __init__(self, key, value, wanted, hint=""):
        super().__init__(f"config: {key}: {value!r}: {wanted}" + (f"\nhint: {hint}" if hint else ""))


def require(good, *problem):
    if not good:
        raise Problem(*problem)


def name_of(key, value):
    value = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    require(isinstance(value, str), key, value, "a name was wanted", "YAML reads words such as yes and no as true and false: put quotes around them")
    require(NAME.fullmatch(value), key, value, "a name may hold letters without accents, digits, _, - and ., and begins with a letter or digit",
            "it becomes the name of a folder")
    return value


def texts(key, values):
    require(isinstance(values, list) and all(isinstance(value, str) and "=" in value for value in values), key, values,
            "a list of KEY=VALUE was wanted", "as in [preprocess.n_top_genes=3000]; docs/src/settings.md lists the keys")
    return values


def whole_numbers(key, values):
    is_seed = lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0
    require(isinstance(values, list) and values and all(map(is_seed, values)), key, values,
            "a list of whole numbers from 0 on was wanted", "as in [0, 1, 2]")
    require(len(set(values)) == len(values), key, values, "a number is there twice")
    return values


class Model:
    """One entry of `models`: its name, its file of settings, further settings, its seeds."""

    def __init__(self, at, entry, seeds, configs):
        key = f"models[{at}]"
        entry = {"config": entry} if isinstance(entry, str) else entry
        require(isinstance(entry, dict) and isinstance(entry.get("config"), str), key, entry,
                "a name in configs/, a path, or a table with config was wanted")
        for word in entry:
            require(word in ["name", "config", "settings", "seeds"], f"{key}.{word}", entry[word], "no such key; there are name, config, settings, seeds")
        said = entry["config"]
        self.config = Path(said) if said.endswith(".toml") else configs / f"{said}.toml"
        known = ", ".join(path.stem for path in sorted(configs.glob("*.toml")) if path.stem != "graph")
        require(self.config.is_file(), f"{key}.config", said, f"{self.config.resolve()}: not found",
                f"names are {known}; a file of your own is given by its path, which ends in .toml")
        self.name = name_of(f"{key}.name", entry.get("name", self.config.stem))
        self.settings = texts(f"{key}.settings", entry.get("settings", []))
        self.seeds = whole_numbers(f"{key}.seeds", entry.get("seeds", seeds))


class Settings:
    """All settings; `configs` is the folder of the files of settings that come with nascent."""

    def __init__(self, config, configs):
        for key in config:
            require(key in DEFAULTS, key, config[key], "no such key", f"there are {', '.join(DEFAULTS)}")
        said = DEFAULTS | config
        for key in ["groups", "samples_column", "root", "basis", "results", "nascent"]:
            require(isinstance(said[key], str), key, said[key], "text was wanted", "put quotes around it")
        require(said["results"] and not set("{}") & set(said["results"]), "results", said["results"], "a folder without braces in its name was wanted")
        require(isinstance(said["threads"], int) and said["threads"] > 0, "threads", said["threads"], "a whole number from 1 on was wanted")
        self.threads, self.results, self.nascent = said["threads"], Path(said["results"]), said["nascent"]

        require(isinstance(said["samples"], dict) and said["samples"], "samples", said["samples"], "names with their files were wanted",
                "copy workflow/config.yaml into this folder and change it, or name another file with --configfile")
        self.samples = {name_of("samples", name): path for name, path in said["samples"].items()}
        for name, path in self.samples.items():
            require(isinstance(path, str), f"samples.{name}", path, "the path of a file was wanted")
        missing = [f"{name}: {Path(path).resolve()}" for name, path in self.samples.items() if not Path(path).is_file()]
        require(not missing, "samples", "; ".join(missing), "not found", "paths are relative to the folder that the workflow runs in (--directory)")

        require(isinstance(said["models"], list) and said["models"], "models", said["models"], "a list was wanted", "as in [soft_grid, steady_state]")
        seeds = whole_numbers("seeds", said["seeds"])
        models = [Model(at, entry, seeds, configs) for at, entry in enumerate(said["models"])]
        self.models = {model.name: model for model in models}
        require(len(self.models) == len(models), "models", [model.name for model in models], "two have the same name", "give one a name of its own")
        require(shutil.which(self.nascent), "nascent", self.nascent, "no such program", "cargo install --path . --locked makes it, or give its path")

        common = texts("settings", said["settings"])
        self.train_settings = {model.name: common + model.settings for model in models}
        after = [word for pair in texts("after_settings", said["after_settings"]) for word in ["--set", pair]]
        groups = ["--groups", said["groups"]] if said["groups"] else []
        within = ["--samples", said["samples_column"]] if said["samples_column"] else []
        self.graph_words = groups + [word for key in ["root", "basis"] if said[key] for word in [f"--{key}", said[key]]] + after
        self.report_words = groups + within + after
        self.compare_words = groups + within

    def fits(self):
        """Model and seed of each fit of a sample, in the order of the settings."""
        return [(model.name, seed) for model in self.models.values() for seed in model.seeds]
