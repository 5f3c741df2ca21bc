#!/bin/sh
# Join with the token of AGENCY_CODE (or AGENCY_TOKEN), unless that is done, then serve.
set -eu
umask 077
if [ ! -f "$AGENCY_HOME/agency.toml" ]; then
  token=${AGENCY_TOKEN:-$(cat "/enrolment/$AGENCY_CODE.token")}
  if [ ! -s "$AGENCY_HOME/api.token" ] && [ -f "/enrolment/${AGENCY_CODE:-}.api" ]; then
    cat "/enrolment/$AGENCY_CODE.api" > "$AGENCY_HOME/api.token"
  fi
  tries=0
  # Exit code 2: the axis cannot be reached yet. 1 is its answer, and final.
  until agency init --token "$token" --api 0.0.0.0:8090; do
    [ $? -eq 2 ] && [ "$tries" -lt 60 ] || exit 1
    tries=$((tries + 1))
    sleep 1
  done
fi
exec agency serve
