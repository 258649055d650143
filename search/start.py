"""Where a training starts: a network that was trained before, from a checkpoint or an exported model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from autoreid_deploy.errors import InputError
from autoreid_deploy.model import ModelSpec, find_model, model_id
from autoreid_deploy.session import ModelSession
from search import checkpoint
from search.config import RunConfig
from search.genotype import Genotype
from search.network import Network, NetworkConfig, build_network
from search.pixels import Images
from search.unfold import read_onnx, reopen

_HEAD = "classifier.weight"  # of people who are not those of the new run


@dataclass(frozen=True)
class Start:
    """A trained network without its classifier.

    Attributes:
        genotype: its cells.
        config: the rest of it.
        weights: of all but the classifier.
        folded: they come from an exported model, whose batch norms are to be opened again.
        origin: what a model card says of it: `name` (with a digest of the file), `data`, `terms`.
    """

    genotype: Genotype
    config: NetworkConfig
    weights: Mapping[str, Tensor]
    folded: bool
    origin: Mapping[str, Any]

    @classmethod
    def load(cls, name_or_path: str | Path) -> Start:
        """Read a checkpoint (.pt), a bundled model by its name, or an exported model (.onnx).

        Raises:
            InputError: the file is no checkpoint of a retraining, or no network can be rebuilt from it.
            ModelError: there is no such model, or the file keeps no contract.
        """
        path = Path(name_or_path)
        if path.suffix == ".pt":
            return cls.of_state(checkpoint.load(path), path)
        path = find_model(name_or_path)
        return cls._of_model(path, ModelSession(path, "cpu").spec)

    @classmethod
    def of_state(cls, state: Mapping[str, Any], path: Path) -> Start:
        """Take the state that a checkpoint holds."""
        run = RunConfig.from_dict(state["config"], str(path))
        if state["genotype"] is None:
            raise InputError(f"{path}: expected a network of cells, got one by hand, which has no genotype")
        origin = {"name": model_id(run.name, path), "data": state["data"], "terms": run.terms or "not stated"}
        if run.teacher.rows:
            origin["teacher"] = {"name": run.teacher.name, "terms": run.teacher.terms}
        if state.get("init"):
            origin["init"] = state["init"]
        weights = {key: value for key, value in state["average"].items() if key != _HEAD}
        genotype = Genotype.from_dict(state["genotype"], str(path))
        return cls(genotype, run.network, weights, False, origin)

    @classmethod
    def _of_model(cls, path: Path, spec: ModelSpec) -> Start:
        shape = spec.training.get("network")
        if not spec.genotype or not isinstance(shape, Mapping):
            raise InputError(f"{path}: cannot be trained on: it does not say what its network is built of")
        config = RunConfig.from_dict({"network": shape}, str(path)).network
        genotype = Genotype.from_dict(spec.genotype, str(path))
        weights = read_onnx(path, genotype, config, bool(spec.training.get("mirrored"))).state_dict()
        del weights[_HEAD]
        more = {key: spec.training[key] for key in ("teacher", "init") if key in spec.training}
        origin = {
            "name": model_id(spec.name, path),
            "data": spec.training.get("data", []),
            "terms": spec.terms,
            **more,
        }
        return cls(genotype, config, weights, True, origin)

    @property
    def told(self) -> dict[str, Any]:
        """What a configuration need not say, as it would say it."""
        return {"genotype": self.genotype.name, "network": asdict(self.config)}

    def require(self, genotype: Genotype, config: NetworkConfig) -> None:
        """Make sure that a network is of this shape, or grows out of it: it may have more blocks, and other input.

        Raises:
            InputError: names what differs.
        """
        name = self.origin["name"]
        if (genotype.normal, genotype.reduce) != (self.genotype.normal, self.genotype.reduce):
            raise InputError(
                f"the cells {genotype.name} are not those of {name} ({self.genotype.name}); leave genotype "
                "out to take the model's"
            )
        mine, wanted = asdict(self.config), asdict(config)
        if tuple(wanted["cells"][: len(mine["cells"])]) == tuple(mine["cells"]):
            mine |= {key: wanted[key] for key in ("cells", "height", "width")}
        if differs := [key for key in mine if mine[key] != wanted[key]]:
            both = "; ".join(f"{key} is {wanted[key]} here and {mine[key]} in {name}" for key in differs)
            raise InputError(f"network: {both}; leave [network] out to take the model's")

    def whole_in(self, config: NetworkConfig) -> bool:
        """Whether a network that `require` lets pass embeds as this one does before it learns: it has no block more."""
        return tuple(config.cells) == tuple(self.config.cells)

    def fill(self, network: Network, config: NetworkConfig, images: Images) -> None:
        """Copy the weights into a network; its classifier stays new, and where it has more blocks, these and its head.

        Args:
            network: to be trained.
            config: its shape, which `require` lets pass.
            images: (N, H, W, 3) uint8, the crops that it is going to learn from.

        Raises:
            InputError: the weights do not fit the shape that the file speaks of.
        """
        if not self.whole_in(config):
            trained = build_network(self.genotype, self.config, 1)
            self.fill(trained, self.config, images)
            grown = {k: v for k, v in trained.state_dict().items() if k.startswith("backbone.")}
            network.load_state_dict(grown, strict=False)
            return
        try:
            missing = network.load_state_dict(dict(self.weights), strict=False)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(
                f"{self.origin['name']}: its weights do not fit its configuration: {reason}"
            ) from error
        if missing.unexpected_keys or missing.missing_keys != [_HEAD]:
            some = [*missing.unexpected_keys, *missing.missing_keys][0]
            raise InputError(f"{self.origin['name']}: its weights do not fit its configuration, see {some}")
        if self.folded:
            reopen(network.eval(), images)
            network.train()
