"""A web service in forty lines: a picture goes in, the restored one comes out, or all of its account as a ZIP archive.

    pip install '.[server]'
    uvicorn --app-dir examples web_service:app
    curl -F file=@photo.jpg http://127.0.0.1:8000/restore -o restored.png
    curl -F file=@photo.jpg "http://127.0.0.1:8000/restore?account=true" -o restored.zip

Tratto's own server (``tratto serve``) has a queue, keys and a page; this shows how to put the library into yours.
"""

import io

from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.responses import Response

import tratto
from tratto.core.errors import Cancelled, TrattoError
from tratto.imaging.io import Limits
from tratto.jobs import Job, JobLimits
from tratto.providers.pool import Pool

app = FastAPI()
POOL = Pool()  # opened networks, shared by all requests: a request is a job of its own, in a thread of its own
LIMITS = Limits(max_pixels=20_000_000, max_bytes=50_000_000)


@app.post("/restore")
def restore(file: UploadFile, scale: int = 1, account: bool = False) -> Response:
    """Restore an uploaded picture; FastAPI runs functions that are not async in threads."""
    job = Job(pool=POOL, limits=LIMITS, job_limits=JobLimits(output_pixels=80_000_000, minutes=2))
    source = file.file.read(LIMITS.max_bytes + 1)
    try:
        result = job.run("restore", {"picture": source}, tratto.RestoreOptions(scale=scale))
    except Cancelled as e:
        raise HTTPException(503, str(e)) from e
    except TrattoError as e:  # what was expected, what came, what to do
        raise HTTPException(422, str(e)) from e
    made = io.BytesIO()
    if account:
        tratto.save(result, made, source=source)
        return Response(made.getvalue(), media_type="application/zip")
    result.to_pil(upright=True).save(made, "PNG")
    return Response(made.getvalue(), media_type="image/png", headers={"X-Receipt": result.receipt["claim"]["status"]})
