#!/bin/sh
# Once: the axis's home, and for each unit an enrolment token and a bearer token of its node's API. For a cluster
# (NATS_SERVERS) also the keys by which its servers and nodes know each other, and the second node's home.
# Run again it makes only what is missing. No node is running yet.
set -eu
umask 077

once() { # FILE COMMAND…: unless FILE is there, write to it what the command prints; whole or not at all
  [ -s "$1" ] || { file=$1; shift; "$@" > "$file.part"; mv "$file.part" "$file"; }
}

secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

# Started again beside a running axis there is nothing left to do.
[ -f "$AXIS_HOME/axis.toml" ] ||
  axis init --listen 0.0.0.0:8443 --console 0.0.0.0:8080 --name axis --name axis-1 --name axis-2
once /enrolment/imported axis org import "$(python3 -c 'from axis import demo; print(demo.__path__[0])')/units.csv" --json
once /enrolment/G22.VXP.token axis org add G22.VXP --name "Văn phòng Chính phủ – phần mềm quản lý văn bản" --parent G22
for code in $UNITS; do
  once "/enrolment/$code.api" secret
  once "/enrolment/$code.token" axis org token "$code"
done

if [ -n "${NATS_SERVERS:-}" ] && [ ! -f /axis-2/axis.toml ]; then
  # shellcheck disable=SC2086 # words are meant
  axis cluster keys --out /cluster --home "$AXIS_HOME" $(printf ' --server %s' $NATS_SERVERS)
  for server in $NATS_SERVERS; do
    # A server gets its own key and nothing else of the cluster.
    mkdir -p "/$server/tls"
    cp "/cluster/$server"/* "/$server/tls/"
  done
  journal=nats://$(echo "$NATS_SERVERS" | tr ' ' ,)
  python3 -c 'import pathlib, sys; from axis.app.home import set_journal; set_journal(pathlib.Path(sys.argv[1]), sys.argv[2])' \
    "$AXIS_HOME" "$journal"
  axis join --home /axis-2 --from "$AXIS_HOME" --listen 0.0.0.0:8443 --console 0.0.0.0:8080
fi
# Where the axis is; agencies wait for this file.
echo "$AXIS_ADDRESSES" > /enrolment/axis.part
mv /enrolment/axis.part /enrolment/axis
