"""Verifies the requests that come as JSON lines, and prints what came of each. Runs behind the documentation's `verify`."""
import gzip, json, sys

for line in sys.stdin:
    request = json.loads(line)
    body = base64.b64decode(request["body"])
    if request["headers"].get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    try:
        verify(body, request["headers"], request["secrets"])
        print("ok")
    except ValueError as error:
        print(error)
