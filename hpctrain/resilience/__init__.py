"""What can go wrong while a job runs, and how it ends well all the same."""
