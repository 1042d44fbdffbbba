"""Drives a coordinator with jelastic-client, as a script of one of its users would, and prints what it got, one JSON a line.

In: COORDINATOR (address:port), SSL_CERT_FILE (its CA), TOKEN_FILE, ENVIRONMENT, GROUP. Out: `{"step": ..., ...}`. Judges nothing.
"""

import json
import os
import socket

NAME = "coordinator.redeploy.internal"
HOST, PORT = os.environ["COORDINATOR"].rsplit(":", 1)
ENVIRONMENT, GROUP = os.environ["ENVIRONMENT"], os.environ["GROUP"]

# Stands for the name server of whoever runs a coordinator.
look_up = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: look_up(HOST if host == NAME else host, *more, **named)

from jelastic_client import JelasticClientFactory  # noqa: E402
from jelastic_client.core import ApiClient, JelasticClientException  # noqa: E402

URL = f"https://{NAME}:{PORT}/1.0/"


def tell(step, **what):
    print(json.dumps({"step": step, **what}), flush=True)


def execute(client, step, function, **parameters):
    try:
        answer = client.execute(function, **parameters)
        tell(step, raised=False, answer=answer)
        return answer
    except JelasticClientException as error:
        tell(step, raised=True, error=str(error), answer=error.response)
        return error.response


with open(os.environ["TOKEN_FILE"], encoding="ascii") as file:
    token = file.read().strip()

signed = execute(ApiClient(URL, ""), "sign in", "Users.Authentication.SignIn", login="ann@example.com", password=token)
factory = JelasticClientFactory(URL, signed["session"])
client, control = factory.api_client, factory.create_control_client()

info = control.get_env_info(ENVIRONMENT)
# It gives them in no order.
nodes = sorted(map(vars, info.get_nodes(node_group=GROUP, node_type="docker")), key=lambda node: node["id"])
tell("info", running=info.is_running(), name=info.env_name(), nodes=nodes)
tell("no info", exists=control.get_env_info(f"{ENVIRONMENT}-not").exists())

group = {"envName": ENVIRONMENT, "nodeGroup": GROUP}
execute(
    client,
    "redeploy",
    "environment.control.RedeployContainersByGroup",
    **group,
    tag="2.4",
    isSequential=True,
    delay=0,
    useExistingVolumes=True,
    login=None,
    password=None,
)
execute(client, "failing", "environment.control.RedeployContainers", **group, tag="broken")
execute(client, "no tag", "environment.control.RedeployContainers", **group)
execute(client, "by id", "environment.control.RedeployContainerById", **{**group, "nodeId": nodes[1]["id"]}, tag="2.5")

execute(ApiClient(URL, "rds_wrong"), "wrong session", "environment.control.GetEnvs")
execute(client, "sign out", "users.authentication.SignOut")
execute(client, "signed out", "environment.control.GetEnvs")
