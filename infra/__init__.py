"""What the pipelines run on: CloudFormation templates, their checks, the notebook's start, downloads of data sets."""
