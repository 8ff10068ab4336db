"""What is left out where several nodes, or nodes of several processes, were asked for, and why."""

from tests.running.asked import PROCESSES, TOGETHER

FILES = "it is about SQLite's files, and the directory that they are in"
PROCESS = "it starts, ends, fills or measures one process, or reads what it says of itself"
OWN = (
    "audit logs, latest reviews, limits of addresses and of a node, and certificates for trials are"
    " each node's own"
)
CLOCK = "its clock is moved before a start, which is refused where PostgreSQL's is another"
AT_ONCE = "what is done on one node holds on another when that has heard of it"

ALONE = {
    "test_audit_log.py": OWN,
    "test_backup.py": FILES,
    "test_bench_command.py": PROCESS,
    "test_chat_log_exactness.py": PROCESS,
    "test_chat_log_full_disk.py": FILES,
    "test_command.py": PROCESS,
    "test_descriptors.py": PROCESS,
    "test_durability.py": FILES,
    "test_full_disk_start.py": FILES,
    "test_full_log.py": PROCESS,
    "test_health.py": PROCESS,
    "test_held.py": PROCESS,
    "test_limits.py": OWN,
    "test_log_bounds.py": PROCESS,
    "test_log_secrets.py": PROCESS,
    "test_extensions.py::test_a_shadow_and_a_mute": AT_ONCE,
    "test_extensions_browser.py::test_a_shadowed_user": AT_ONCE,
    "test_messaging_sdk.py::test_a_restart_is_survived": PROCESS,
    "test_messaging_sdk_browser.py::test_a_crash_is_survived": PROCESS,
    "test_messaging_sdk_tls.py": OWN,
    "test_metrics.py": PROCESS,
    "test_proxies.py": OWN,
    "test_schedules.py": CLOCK,
    "test_streams.py": PROCESS,
    "test_systemd.py": PROCESS,
    "test_takeover.py": PROCESS,
    "test_tls.py": OWN,
    "test_websockets_handshake.py::test_a_used_token_stays_used_after_a_restart": PROCESS,
    "test_what_a_person_meets.py": PROCESS,
    "test_write_lock.py": FILES,
    "[https": OWN,
    "test_admin.py::test_sessions_are_ended_at_once": OWN,
    "test_advisories.py::test_nothing_else_listens": PROCESS,
    "test_connections.py::test_connections_quota": AT_ONCE,
    "test_connections.py::test_deleted_room_keeps_connections": AT_ONCE,
    "test_connections.py::test_open_connection_misses_nothing": AT_ONCE,
    "test_connections.py::test_silent_peer_is_dropped": PROCESS,
    "test_connections.py::test_slow_reader": PROCESS,
    "test_connections.py::test_vanished_clients": PROCESS,
    "test_connections.py::test_a_thousand_idle_connections": PROCESS,
    "test_identities.py::test_a_wrong_master_key_refuses_the_start": FILES,
    "test_identities.py::test_an_account_is_suspended_by_command": OWN,
    "test_identities.py::test_moderation_by_chat_users_is_audited": OWN,
    "test_identities.py::test_the_audit_log": OWN,
    "test_identities.py::test_users_survive_kill_9": FILES,
    "test_operator_commands.py::test_doctor": FILES,
    "test_operator_commands.py::test_examples_work": FILES,
    "test_operator_commands.py::test_reviews_are_followed": OWN,
    "test_operator_permissions.py::test_who_did_it_is_audited": OWN,
    "test_operator_permissions.py": AT_ONCE,
    "test_regions.py::test_rooms_that_are_no_longer_served": PROCESS,
    "test_review.py::test_a_review_under_way_at_the_end": PROCESS,
    "test_room_commands.py::test_tokens_are_for_pasting": PROCESS,
    "test_tls_records.py": OWN,
    "test_token_keys.py::test_a_killed_key": AT_ONCE,
    "test_token_keys.py::test_killing_the_current_key": AT_ONCE,
}
"""Parts of the names of tests that need one process, and why: they are left out."""


ONE_PROCESS = {
    "test_demo_browser.py": "the demo is shown by one process: several are refused",
    "test_review.py::test_a_target_that_cannot_be_used": "who looks after processes holds the data"
    " directory before they look at their settings",
}
"""The same where nodes of several processes were asked for."""


def reason_to_leave_out(nodeid: str) -> str | None:
    """Return why a test does not speak to several nodes, where it does not."""
    if not TOGETHER or not nodeid.startswith(("tests/e2e/", "tests/interop/")):
        return None
    left_out = ALONE | ONE_PROCESS if PROCESSES > 1 else ALONE
    return next((why for part, why in left_out.items() if part in nodeid), None)
