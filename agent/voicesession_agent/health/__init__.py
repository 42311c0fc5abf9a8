"""Health of a job: probes inside the job, and the diagnosis that the supervisor makes of their report."""
