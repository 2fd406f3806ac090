"""The pacer under a scripted clock: the plan never moves, whatever the loop does."""

from array import array

from harness.engine.pacer import Pacer


class ScriptedTimer:
    """Remembers what it was armed for."""

    def __init__(self) -> None:
        self.armed_ns: list[int] = []

    def arm(self, at_ns: int) -> None:
        self.armed_ns.append(at_ns)

    def acknowledge(self) -> None:
        return


class Scene:
    """A pacer, a clock that the test moves, and what was offered when."""

    def __init__(self, intended_ns: list[int], *, tick_ns: int = 0, spin_ns: int = 0) -> None:
        self.now_ns = 0
        self.tick_ns = tick_ns
        self.offered: list[tuple[int, int]] = []
        self.flush_count = 0
        self.timer = ScriptedTimer()
        self.pacer = Pacer(
            intended_ns=memoryview(array("q", intended_ns)),
            offer=lambda operation: self.offered.append((operation, self.now_ns)),
            flush=self._flush,
            timer=self.timer,  # type: ignore[arg-type]
            clock=self._clock,
            spin_ns=spin_ns,
        )

    def _clock(self) -> int:
        self.now_ns += self.tick_ns
        return self.now_ns

    def _flush(self) -> None:
        self.flush_count += 1


def test_offers_exactly_what_is_due_and_arms_for_the_next() -> None:
    """A wake-up offers all that is due and none that is not."""
    scene = Scene([10, 20, 20, 35])

    scene.pacer.start()
    scene.now_ns = 20
    scene.pacer.wake()

    assert [operation for operation, _ in scene.offered] == [0, 1, 2]
    assert scene.timer.armed_ns == [10, 35]
    assert not scene.pacer.is_finished


def test_stall_does_not_move_the_plan() -> None:
    """After a stall everything overdue goes in one pass; nothing is skipped or shifted."""
    scene = Scene(list(range(0, 1000, 10)))

    scene.pacer.start()
    scene.now_ns = 5_000
    scene.pacer.wake()

    assert [operation for operation, _ in scene.offered] == list(range(100))
    assert scene.pacer.is_finished
    assert scene.timer.armed_ns == [0]


def test_spin_waits_for_the_instant() -> None:
    """With a spin the timer fires early, and the operation still goes no earlier than planned."""
    scene = Scene([1_000, 1_050, 5_000], tick_ns=7, spin_ns=100)

    scene.pacer.start()
    scene.now_ns = 900
    scene.pacer.wake()

    assert scene.timer.armed_ns == [900, 4_900]
    lateness_ns = [
        at_ns - planned_ns
        for (_, at_ns), planned_ns in zip(scene.offered, [1_000, 1_050], strict=True)
    ]
    assert all(0 <= late_ns < 30 for late_ns in lateness_ns)
    assert [operation for operation, _ in scene.offered] == [0, 1]


def test_stop_offers_nothing_more() -> None:
    """After stop a wake-up offers nothing and the pacer is finished."""
    scene = Scene([10, 20])

    scene.pacer.start()
    scene.pacer.stop()
    scene.now_ns = 100
    scene.pacer.wake()

    assert scene.offered == []
    assert scene.pacer.is_finished
