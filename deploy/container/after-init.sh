#!/bin/sh
# Wait until init is done (/enrolment/axis is the last that it writes), then run the command that is given, if any.
# Not a depends_on: which init runs, that of one axis or that of a cluster, is the profile's.
set -eu
tries=0
until [ -s /enrolment/axis ]; do
  [ "$tries" -lt 600 ] || { echo "init has not finished: docker-compose logs" >&2; exit 1; }
  tries=$((tries + 1))
  sleep 0.2
done
exec "$@"
