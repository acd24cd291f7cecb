"""What verbs say to SageMaker, or to this machine in its place: one session, boto3's method names and shapes."""
