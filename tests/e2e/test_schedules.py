"""A scheduled announcement of the real process, over a restart: only the clock is moved."""

from pathlib import Path

from tests.running.clock import MovedClock
from tests.running.process import serving
from tests.running.viewers import Speaker, until

MINUTE = 60_000_000_000
"""In nanoseconds."""


async def test_it_is_told_after_a_restart(tmp_path: Path) -> None:
    """Once, to who is there by then, because somebody had written before."""
    clock = MovedClock(tmp_path / "moved")
    async with serving(tmp_path, **clock.variables) as (service, crowd):
        room, own = str(service.boto3().create_room()["arn"]), service.greenroom()
        for name in ("rules", "gone"):
            made = own.put_announcement_schedule(
                roomIdentifier=room, name=name, content="Be kind", everySeconds=60
            )["schedule"]
            assert (made["due"] - made["created"]).total_seconds() == 60
        own.delete_announcement_schedule(roomIdentifier=room, name="gone")
        assert await Speaker("bob", await crowd.enter(room, "bob")).say() is not None
    clock.move(MINUTE)
    async with serving(tmp_path, **clock.variables) as (service, crowd):
        viewer = await crowd.attempt(service.token(room, "eve"))
        await until(lambda: bool(viewer.texts), "it is told")
        (announced,) = viewer.seen()
        assert announced.content == "Be kind"
        assert announced.attributes == {"greenroom:announcement": "INFO"}
        (schedule,) = service.greenroom().list_announcement_schedules(roomIdentifier=room)[
            "schedules"
        ]
        assert (schedule["told"] - schedule["created"]).total_seconds() >= 60
        assert (schedule["due"] - schedule["told"]).total_seconds() <= 60
