"""A checkpoint -> an ONNX graph that keeps the model contract, with all that a user must know in its metadata."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import onnxslim
import torch

from autoreid_deploy.errors import InputError
from autoreid_deploy.model import ModelSpec
from export.deploy_model import DeployModel
from search import checkpoint
from search.config import RunConfig
from search.genotype import Genotype
from search.network import Network, build_network

OPSET = 18


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds for an export.

    Attributes:
        network: the averaged weights, in evaluation mode.
        spec: what the model file will say about itself.
        mirrored: its rows are those of a crop and of its mirror image together.
    """

    network: Network
    spec: ModelSpec
    mirrored: bool = False


def read_checkpoint(
    path: str | Path, metrics: Mapping[str, Any] | None = None, mirrored: bool = False
) -> Trained:
    """Rebuild the network of a checkpoint and describe it.

    Args:
        path: a `last.pt` of `python -m search retrain`.
        metrics: figures by data set that were measured elsewhere; the run's own validation is added.
        mirrored: embed each crop and its mirror image.

    Raises:
        InputError: the file is no checkpoint, or its weights do not fit its own description.
    """
    state = checkpoint.load(path)
    run = RunConfig.from_dict(state["config"], str(path))
    if state["genotype"] is None:
        raise InputError(f"{path}: expected a network of cells, got one by hand, which has no genotype")
    network = build_network(Genotype.from_dict(state["genotype"], str(path)), run.network, state["people"])
    try:
        network.load_state_dict(state["average"])
    except RuntimeError as error:
        raise InputError(f"{path}: its weights do not fit its configuration: {error}") from error
    recipe = {key: value for key, value in state["config"]["recipe"].items() if key != "val_every"}
    terms, init = run.terms or "not stated", state.get("init")
    spec = ModelSpec(
        name=run.name,
        height=run.network.height,
        width=run.network.width,
        dim=network.dim,
        genotype=state["genotype"],
        training={
            "data": state["data"],
            "recipe": {**recipe, "epochs_done": state["epoch"]},
            "network": state["config"]["network"],
            **(
                {"teacher": {"name": run.teacher.name, "terms": run.teacher.terms}}
                if run.teacher.rows
                else {}
            ),
            **({"init": init} if init else {}),
            **({"mirrored": True} if mirrored else {}),
        },
        terms=_also(terms, "started from", init["name"], init["terms"]) if init else terms,
        metrics={**_validation(state, run), **(metrics or {})},
        calibration={},
    )
    return Trained(network.eval(), spec, mirrored)


def halfway(one: Trained, other: Trained, metrics: Mapping[str, Any] | None = None) -> Trained:
    """The weights between those of two trainings, one gone on from the other: they keep of both (arXiv 2109.01903).

    Args:
        one: whose name and description the result has; its network is changed.
        other: of the same cells and the same network.
        metrics: figures of the result by data set; those of the two are not its own.

    Raises:
        InputError: the two differ in cells or network.
    """
    spec, met = one.spec, other.spec
    if (met.genotype, met.training["network"]) != (spec.genotype, spec.training["network"]):
        raise InputError(
            "there is no halfway between two networks; expected twice the same cells and network, got "
            + " and ".join(f"{s.genotype['name']} in {dict(s.training['network'])}" for s in (spec, met))
        )
    theirs = other.network.state_dict()
    for name, value in one.network.state_dict().items():
        # A classifier is of the people of its own run, and no export has it.
        if value.is_floating_point() and not name.startswith("classifier."):
            value.lerp_(theirs[name], 0.5)
    told = {key: met.training[key] for key in ("data", "recipe", "init") if key in met.training}
    training = {**spec.training, "halfway": {"name": met.name, "terms": met.terms, **told}}
    terms = _also(spec.terms, "halfway to", met.name, met.terms)
    return replace(one, spec=replace(spec, training=training, terms=terms, metrics=dict(metrics or {})))


def write_onnx(trained: Trained, path: Path) -> None:
    """Trace, simplify, describe and check a graph.

    Raises:
        onnx.checker.ValidationError: the file is not valid ONNX (a bug of ours or of the exporter).
    """
    spec = trained.spec
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        # The exporter warns about itself; what it writes is checked below and by the parity test.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            DeployModel(trained.network, trained.mirrored),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_shapes={"images": {0: batch}},
            verbose=False,
        )
    assert program is not None
    model = onnxslim.slim(program.model_proto)
    _name_batch(model)
    model.producer_name = "autoreid_deploy"
    model.doc_string = (
        f"{spec.name}: person re-identification, (batch, {spec.height}, {spec.width}, 3) RGB uint8"
    )
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[
            :
        ]  # the exporter's stack traces: twice the size of the graph, and paths of our disk
    del model.graph.value_info[:]
    onnx.helper.set_model_props(model, spec.to_metadata())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _also(terms: str, how: str, name: str, others: str) -> str:
    """Terms of weights, and what else those have to say that they came by: nothing is said twice."""
    said = _statements(terms)
    new = [statement for statement in _statements(others) if statement not in said]
    return f"{terms}; {how} {name}: {'; '.join(new)}" if new else terms


def _statements(terms: str) -> list[str]:
    """Terms taken apart."""
    return re.split(r"; (?:(?:started from|halfway to) [^:;]+: )?", terms)


def _name_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _validation(state: Mapping[str, Any], run: RunConfig) -> dict[str, Any]:
    scored = [row for row in state["history"] if "mAP" in row]
    if not scored:
        return {}
    names = ", ".join(source.name or source.path for source in run.val)
    figures = {key: round(scored[-1][key], 4) for key in ("rank1", "mAP", "mINP")}
    protocol = (
        "query: the first image by name of each person and camera; gallery: all; same person and camera is junk; "
        "people never trained on; torch, float32"
    )
    return {f"validation: {names}": {**figures, "epoch": scored[-1]["epoch"], "protocol": protocol}}
