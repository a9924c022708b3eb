"""What a person does in Dagster's UI: launch, re-execute from failure, terminate; over its GraphQL."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

LOCATION = "import_pipeline"
PATIENCE_SECONDS = 60.0
LAUNCHED = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
RE_EXECUTED = """
mutation Again($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
TERMINATED = """
mutation Stop($run: String!) {
  terminateRun(runId: $run) {
    __typename ... on PythonError { message } ... on TerminateRunFailure { message }
  }
}
"""


class Ui:
    """The web server at an address; patient while it, or what it needs, is away."""

    def __init__(self, url: str):
        self.url = url

    def launch(self, dataset: str, upload_id: str) -> str:
        """Materialize the upload's partition with the dataset's job; the run's id."""
        params = {
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": upload_id}]},
            "runConfigData": json.dumps({"execution": {"config": {"processes": "one"}}}),
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": "__repository__",
                "pipelineName": f"import_{dataset}",
            },
        }
        return self._run_id(self._ask(LAUNCHED, params=params)["launchPipelineExecution"])

    def re_execute(self, run_id: str) -> str:
        """Re-execute a run from failure; the new run's id."""
        params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
        return self._run_id(self._ask(RE_EXECUTED, params=params)["launchRunReexecution"])

    def terminate(self, run_id: str) -> str:
        """Terminate a run; what the UI answers."""
        return str(self._ask(TERMINATED, run=run_id)["terminateRun"]["__typename"])

    def _run_id(self, answer: dict[str, Any]) -> str:
        if answer["__typename"] != "LaunchRunSuccess":
            raise AssertionError(f"the UI launched nothing: {answer}")
        return str(answer["run"]["runId"])

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            request = urllib.request.Request(
                f"{self.url}/graphql", body, {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    found = json.loads(answer.read())
                if "errors" not in found:
                    return dict(found["data"])
                problem = str(found["errors"])[:500]
            except (urllib.error.URLError, OSError) as error:
                problem = str(error)
            if time.monotonic() > until:
                raise AssertionError(f"the UI does not answer: {problem}")
            time.sleep(0.5)
