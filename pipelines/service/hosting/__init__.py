"""Model versions as endpoints: deployed, listed, asked, taken away. Every call goes to boto3's method names."""
