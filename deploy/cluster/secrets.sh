#!/bin/sh
# Make the secrets of compose.yaml, once: files for the nodes in ./secrets, and .env for the servers.
set -eu
cd "$(dirname "$0")"
umask 077
[ -e .env ] && { echo "the secrets are there already: remove .env and secrets/ to make new ones" >&2; exit 1; }
mkdir -p secrets
secret() { openssl rand -hex 24; }
openssl rand -base64 32 > secrets/secrets_key
secret > secrets/owner_password
secret > secrets/node_password
secret > secrets/nats_password
# Each node's container is given the files, and reads them as a user of its own; the folder is yours.
chmod 444 secrets/*
cat > .env <<END
POSTGRES_PASSWORD=$(secret)
OWNER_PASSWORD=$(cat secrets/owner_password)
NODE_PASSWORD=$(cat secrets/node_password)
GREENROOM_NATS_PASSWORD=$(cat secrets/nats_password)
END
