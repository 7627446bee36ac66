"""What a run writes down beside its result: figures, samples, and files for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from app.training.configs import SFTRun
from workers.training import tracking
from workers.training.progress import CURVES, SAMPLES, Progress, quiet
from workers.training.tracking import tracked


def test_tensorboard_reads_every_step_once_also_of_a_run_that_was_killed_and_went_on(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    for step in (1, 2, 3):
        progress.step(step, 4, {"loss": 1 / step, "kl": float(step)})
        progress.show(step, [{"answer": str(step)}])
    with (tmp_path / "tensorboard" / CURVES).open("ab") as stream:
        stream.write(b"\x40half a record")  # what a kill leaves of one
    again = Progress(tmp_path)
    again.rewind(2)
    again.step(3, 4, {"loss": 0.25, "kl": 9.0})
    again.step(4, 4, {"loss": 0.125, "kl": 4.0})
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(read.Tags()["scalars"]) == {"loss", "kl"}
    assert [(one.step, one.value) for one in read.Scalars("loss")] == [(1, 1), (2, 0.5), (3, 0.25), (4, 0.125)]
    assert [one.value for one in read.Scalars("kl")] == [1, 2, 9, 4]
    assert (tmp_path / SAMPLES).read_text().count("answer") == 2


# ---- trackers outside: stand-ins that take what the packages' documentation names, and nothing else -----------------


class Told:
    """What a tracker heard, call by call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def log(self, data: dict[str, Any], step: int | None = None) -> None:
        self.calls.append(("log", {"data": data, "step": step}))


class Wandb(Told):
    def init(self, *, project: str, name: str, config: dict[str, Any], resume: str, id: str, dir: str) -> Wandb:  # noqa: A002
        assert not set("/\\#?%:") & set(id)  # what the documentation does not let an id hold
        self.calls.append(("init", {"project": project, "name": name, "resume": resume, "id": id, "dir": dir} | config))
        return self

    def finish(self, exit_code: int | None = None) -> None:
        self.calls.append(("finish", {"exit_code": exit_code}))


class Trackio(Told):
    def init(self, project: str, name: str | None = None, *, config: dict[str, Any], resume: str = "never") -> Trackio:
        self.calls.append(("init", {"project": project, "name": name, "resume": resume} | config))
        return self

    def finish(self) -> None:
        self.calls.append(("finish", {}))


def asked(folder: Path, **fields: Any) -> SFTRun:
    return SFTRun(checkpoint=folder, dataset=folder / "lines.jsonl", output=folder / "mine", seed=3, **fields)


def go(run: SFTRun) -> list[int]:
    """Two steps; which of them the run's own report heard of."""
    heard: list[int] = []
    with tracked(run, lambda step, _total, _values: heard.append(step)) as report:
        report(1, 2, {"loss": 2.0, "entropy": float("nan")})
        report(2, 2, {"loss": 1.0})
    return heard


@pytest.mark.parametrize(("name", "kind"), [("wandb", Wandb), ("trackio", Trackio)])
def test_a_tracker_that_is_asked_for_hears_settings_steps_and_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any, kind: type[Told]
) -> None:
    module = kind()
    monkeypatch.setitem(tracking.sys.modules, name, module)  # type: ignore[arg-type]
    run = asked(tmp_path, track=name, name="My fine-tuning")
    assert go(run) == [1, 2]
    (begun, words), *rest = module.calls
    mark = (run.work / "tracker").read_text()
    own = {"id": mark, "dir": str(run.work)} if name == "wandb" else {}
    assert begun == "init"
    assert words == {
        "project": "hone", "name": f"My fine-tuning {mark}", "resume": "allow", "method": "sft", "seed": 3,
        **own, **run.config.model_dump(mode="json"),
    }  # fmt: skip
    assert rest == [
        ("log", {"data": {"loss": 2.0}, "step": 1}),  # what is no number is left out
        ("log", {"data": {"loss": 1.0}, "step": 2}),
        ("finish", {"exit_code": 0} if name == "wandb" else {}),
    ]
    go(run)  # taken up again, it goes on under its name
    assert module.calls[4] == ("init", words)


def test_a_run_that_broke_is_told_as_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = Wandb()
    monkeypatch.setitem(tracking.sys.modules, "wandb", wandb)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError), tracked(asked(tmp_path, track="wandb"), quiet):
        raise ZeroDivisionError
    assert wandb.calls[-1] == ("finish", {"exit_code": 1})


def test_a_tracker_that_fails_costs_the_run_nothing_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Away(Trackio):
        def log(self, data: dict[str, Any], step: int | None = None) -> None:
            raise ConnectionError("nobody answers")

    away = Away()
    monkeypatch.setitem(tracking.sys.modules, "trackio", away)  # type: ignore[arg-type]
    assert go(asked(tmp_path, track="trackio")) == [1, 2]
    assert capsys.readouterr().err == "trackio is told no more: ConnectionError: nobody answers\n"
    assert [call for call, _words in away.calls] == ["init"]


def test_no_tracker_is_imported_unasked_and_one_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "package", lambda name: pytest.fail(f"{name} was imported"))
    assert go(asked(tmp_path)) == [1, 2]
    monkeypatch.undo()
    monkeypatch.setitem(tracking.sys.modules, "wandb", None)  # type: ignore[arg-type]
    with pytest.raises(tracking.RunRefused, match=r"wandb cannot be imported.*pip install 'hone\[wandb\]'"):
        go(asked(tmp_path, track="wandb"))
