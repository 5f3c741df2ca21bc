"""The registry: every kind of fault, how it is done and how it is mended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.chaos.country import Country, Part
from bench.chaos.plan import FaultSpec, Layout, NotInjected, Step

__all__ = ["FAULTS", "Fault", "kinds_of"]

Act = Callable[[Country, Step], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`inject` returns when the fault is there, `heal` when it is gone and what it stopped runs again.

    `needs`: `root` (mounts) or `faketime`. `heal` must be harmless where `inject` failed half way.
    """

    spec: FaultSpec
    inject: Act
    heal: Act
    needs: str = ""


async def _kill(country: Country, step: Step) -> None:
    await country.parts[step.target].kill()


async def _restart(country: Country, step: Step) -> None:
    part = country.parts[step.target]
    if not part.process.running:
        await part.start()


async def _pause(country: Country, step: Step) -> None:
    os.kill(country.parts[step.target].process.pid, signal.SIGSTOP)


async def _go_on(country: Country, step: Step) -> None:
    part = country.parts[step.target]
    if part.process.running:
        os.kill(part.process.pid, signal.SIGCONT)


async def _cut(country: Country, step: Step) -> None:
    country.links[step.target].set("cut" if step.variant == "reset" else "hole")


async def _delay(country: Country, step: Step) -> None:
    country.links[step.target].set("open", step.amount)


async def _mend(country: Country, step: Step) -> None:
    country.links[step.target].set("open")


async def _fill(country: Country, step: Step) -> None:
    volume = country.volumes[step.target]
    if not await asyncio.to_thread(volume.fill):
        raise NotInjected(f"the volume of {step.target} was full already")


async def _empty(country: Country, step: Step) -> None:
    country.volumes[step.target].empty()
    part: Part = country.parts[step.target]
    # A node may end itself for want of room; whoever runs it starts it again.
    if not part.process.running:
        country.say(f"{part.name} had ended itself: started again")
        await part.process.stop()
        await part.start()


def _axes(layout: Layout) -> Sequence[str]:
    return layout.axes


def _agencies(layout: Layout) -> Sequence[str]:
    return layout.agencies


def _links(layout: Layout) -> Sequence[str]:
    return layout.links


def _volumes(layout: Layout) -> Sequence[str]:
    return layout.volumes


def _nats(layout: Layout) -> Sequence[str]:
    return layout.nats


def _axes_with_nats(layout: Layout) -> Sequence[str]:
    return layout.axes if layout.nats else ()


def _routes(layout: Layout) -> Sequence[str]:
    return layout.routes


def _stream(layout: Layout) -> Sequence[str]:
    return ("stream",) if layout.nats else ()


def _registry() -> dict[str, Fault]:
    from bench.chaos import faults_nats as nats
    from bench.chaos import faults_network as network
    from bench.chaos.faults_clock import jump, set_right

    cut_forms = ("reset", "black_hole")
    faults = [
        Fault(FaultSpec("axis_kill", _axes, (0.0, 3.0), 4.0), _kill, _restart),
        Fault(FaultSpec("agency_kill", _agencies, (0.0, 3.0), 3.0), _kill, _restart),
        Fault(FaultSpec("axis_stop", _axes, (1.0, 6.0), 0.5), _pause, _go_on),
        Fault(FaultSpec("agency_stop", _agencies, (1.0, 6.0), 0.5), _pause, _go_on),
        Fault(FaultSpec("link_cut", _links, (2.0, 8.0), 0.5, cut_forms), _cut, _mend),
        Fault(FaultSpec("link_delay", _links, (3.0, 8.0), 0.5, amount=(0.1, 1.5)), _delay, _mend),
        Fault(FaultSpec("disk_full", _volumes, (3.0, 8.0), 1.0), _fill, _empty, "root"),
        Fault(
            FaultSpec(
                "clock_jump",
                lambda layout: (*layout.axes, *layout.agencies[:2]),
                (3.0, 6.0),
                8.0,
                ("ahead", "behind"),
                (1.0, 12.0),
            ),
            jump,
            set_right,
            "faketime",
        ),
        Fault(FaultSpec("nats_kill", _nats, (0.0, 4.0), 5.0), nats.kill_server, nats.start_server),
        Fault(FaultSpec("nats_stop", _nats, (2.0, 8.0), 3.0), nats.pause_server, nats.go_on_server),
        Fault(FaultSpec("nats_wiped", _nats, (0.0, 2.0), 6.0), nats.wipe_server, nats.start_server),
        Fault(FaultSpec("nats_flipped_byte", _nats, (0.0, 2.0), 6.0), nats.flip_byte, nats.start_server),
        Fault(FaultSpec("stream_deleted", _stream, (0.0, 1.0), 40.0), nats.delete_stream, nats.reseed),
        Fault(
            FaultSpec("nats_link_cut", _axes_with_nats, (3.0, 10.0), 1.0, cut_forms),
            network.cut_nats,
            network.mend_nats,
        ),
        Fault(
            FaultSpec("nats_link_delay", _axes_with_nats, (3.0, 10.0), 1.0, amount=(0.1, 1.5)),
            network.delay_nats,
            network.mend_nats,
        ),
        Fault(
            FaultSpec("nats_route_cut", _routes, (3.0, 12.0), 3.0, cut_forms),
            network.cut_route,
            network.mend_routes,
        ),
        Fault(
            FaultSpec("nats_leader_cut", _stream, (5.0, 14.0), 3.0, cut_forms),
            network.cut_leader,
            network.mend_routes,
        ),
    ]
    return {fault.spec.kind: fault for fault in faults}


FAULTS: Final = _registry()


def kinds_of(layout: Layout) -> list[str]:
    """The kinds that this layout has something for."""
    return [kind for kind, fault in FAULTS.items() if fault.spec.targets(layout)]
