"""A checkpoint -> an ONNX graph that keeps the model contract, with all that a user must know in its metadata."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
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
    path: str | Path,
    metrics: Mapping[str, Any] | None = None,
    mirrored: bool = False,
    halfway: str | Path | None = None,
) -> Trained:
    """Rebuild the network of a checkpoint and describe it.

    Args:
        path: a `last.pt` of `python -m search retrain`.
        metrics: figures by data set that were measured elsewhere; the run's own validation is added.
        mirrored: embed each crop and its mirror image.
        halfway: another checkpoint of the same network, of which this one went on: the weights between the two keep of
            both (arXiv 2109.01903). The run's own validation is not theirs.

    Raises:
        InputError: a file is no checkpoint, its weights do not fit its own description, or the two differ in shape.
    """
    state = checkpoint.load(path)
    other = None if halfway is None else _between(state, path, checkpoint.load(halfway), halfway)
    run = RunConfig.from_dict(state["config"], str(path))
    if state["genotype"] is None:
        raise InputError(f"{path}: expected a network of cells, got one by hand, which has no genotype")
    network = build_network(Genotype.from_dict(state["genotype"], str(path)), run.network, state["people"])
    try:
        network.load_state_dict(state["average"])
    except RuntimeError as error:
        raise InputError(f"{path}: its weights do not fit its configuration: {error}") from error
    recipe = {key: value for key, value in state["config"]["recipe"].items() if key != "val_every"}
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
            **({"init": state["init"]} if state.get("init") else {}),
            **({"halfway": other} if other else {}),
            **({"mirrored": True} if mirrored else {}),
        },
        terms=_terms(run, state.get("init"), other),
        metrics={**({} if other else _validation(state, run)), **(metrics or {})},
        calibration={},
    )
    return Trained(network.eval(), spec, mirrored)


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


def _between(
    state: dict[str, Any], path: str | Path, other: Mapping[str, Any], other_path: str | Path
) -> dict[str, Any]:
    """Move the averaged weights of a checkpoint halfway to another's; returns what the file will say of that one."""
    run = RunConfig.from_dict(other["config"], str(other_path))
    network = RunConfig.from_dict(state["config"], str(path)).network
    if other["genotype"] != state["genotype"] or run.network != network:
        raise InputError(
            f"{other_path}: expected the cells and the network of {path}, got others; there is no halfway between them"
        )
    for name, value in state["average"].items():
        theirs = other["average"][name]
        # The classifier is of the people of its own run, and no export has it.
        if value.is_floating_point() and value.shape == theirs.shape:
            value.lerp_(theirs, 0.5)
    recipe = {key: value for key, value in other["config"]["recipe"].items() if key != "val_every"}
    return {
        "name": run.name,
        "terms": _terms(run, other.get("init")),
        "data": other["data"],
        "recipe": {**recipe, "epochs_done": other["epoch"]},
        **({"init": other["init"]} if other.get("init") else {}),
    }


def _terms(run: RunConfig, init: Mapping[str, Any] | None, halfway: Mapping[str, Any] | None = None) -> str:
    """What the weights may be used for; those that they started from or were mixed with have a say, too."""
    said = run.terms or "not stated"
    for how, whom in (("started from", init), ("halfway to", halfway)):
        new = (
            [statement for statement in _statements(whom["terms"]) if statement not in _statements(said)]
            if whom
            else []
        )
        if whom and new:
            said += f"; {how} {whom['name']}: {'; '.join(new)}"
    return said


def _statements(terms: str) -> list[str]:
    """Terms taken apart: each is to be said once, however many weights they came by."""
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
