"""Who calls and what they may: users, roles, keys and policies, declared and kept."""
