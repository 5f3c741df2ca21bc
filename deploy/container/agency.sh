#!/bin/sh
# Join with the token of AGENCY_CODE (or AGENCY_TOKEN), unless that is done, then serve.
set -eu
umask 077
if [ ! -f "$AGENCY_HOME/agency.toml" ]; then
  if [ -z "${AGENCY_TOKEN:-}" ]; then
    sh /app/container/after-init.sh
    AGENCY_TOKEN=$(cat "/enrolment/$AGENCY_CODE.token")
    AGENCY_AXIS=${AGENCY_AXIS:-$(cat /enrolment/axis)}
    [ -s "$AGENCY_HOME/api.token" ] || cat "/enrolment/$AGENCY_CODE.api" > "$AGENCY_HOME/api.token"
  fi
  # AGENCY_AXIS: addresses of the axis, separated by commas; without it the one that the token carries.
  set -- --token "$AGENCY_TOKEN" --api 0.0.0.0:8090 ${AGENCY_AXIS:+--axis "$AGENCY_AXIS"}
  tries=0
  # Exit code 2: the axis cannot be reached yet. 1 is its answer, and final.
  until agency init "$@"; do
    [ $? -eq 2 ] && [ "$tries" -lt 60 ] || exit 1
    tries=$((tries + 1))
    sleep 1
  done
fi
exec agency serve
