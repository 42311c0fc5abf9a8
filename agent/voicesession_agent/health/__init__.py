"""What can be wrong with a job though its process lives: seen in the job, decided here, mended by the supervisor."""
