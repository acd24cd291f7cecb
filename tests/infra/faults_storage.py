"""Faults of what holds data, and of the notebook's own settings."""

from faults import STRANGER, fault, gone, ref, set_to, statement, without

# ---- EFS ----
set_to("FileSystem", "Encrypted", False, problem="not encrypted")
without("FileSystem", "KmsKeyId", problem="not encrypted")
set_to("FileSystem", "BackupPolicy.Status", "DISABLED", problem="backed up")
without("FileSystem", "BackupPolicy", problem="backed up")
without("FileSystem", "LifecyclePolicies", problem="lifecycle")


@fault("FileSystem", "lets plain NFS in")
def efs_demands_no_tls_when_asked(template):
    template["Resources"]["FileSystem"]["Properties"]["FileSystemPolicy"]["Fn::If"][1]["Statement"].pop()


@fault("FileSystem", "policy unasked")
def efs_demands_tls_unasked(template):
    properties = template["Resources"]["FileSystem"]["Properties"]
    properties["FileSystemPolicy"] = properties["FileSystemPolicy"]["Fn::If"][1]


# ---- buckets ----
without("Bucket", "BucketEncryption", problem="not encrypted")
set_to("Bucket", "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.SSEAlgorithm", "AES256")
without("Bucket", "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.KMSMasterKeyID")
without("AccessLogBucket", "BucketEncryption", problem="not encrypted")
set_to("Bucket", "VersioningConfiguration.Status", "Suspended", problem="versions")
without("Bucket", "VersioningConfiguration", problem="versions")
set_to("Bucket", "PublicAccessBlockConfiguration.BlockPublicPolicy", False, problem="BlockPublicPolicy")
without("Bucket", "PublicAccessBlockConfiguration.IgnorePublicAcls", problem="IgnorePublicAcls")
without("AccessLogBucket", "PublicAccessBlockConfiguration", problem="RestrictPublicBuckets")
set_to("Bucket", "OwnershipControls.Rules.0.ObjectOwnership", "ObjectWriter", problem="access lists")
gone("BucketPolicy", "Bucket", "plain HTTP")
set_to("BucketPolicy", "PolicyDocument.Statement.0.Effect", "Allow", "Bucket", "plain HTTP")
set_to("BucketPolicy", "PolicyDocument.Statement.0.Condition.Bool", {"aws:SecureTransport": "true"}, "Bucket", "plain HTTP")
set_to("BucketPolicy", "PolicyDocument.Statement.0.Resource", {"Fn::GetAtt": ["Bucket", "Arn"]}, "Bucket", "plain HTTP")
set_to("BucketPolicy", "Bucket", ref("AccessLogBucket"), "Bucket", "plain HTTP")


@fault("Bucket", "lets anybody in")
def the_bucket_is_public(template):
    document = template["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    document["Statement"].append(
        {"Sid": "All", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:GetObject", "Resource": "*"}
    )


@fault("AccessLogBucket", "records of any account")
def access_logs_of_any_account(template):
    del statement(template, "AccessLogBucketPolicy", "AccessLogs")["Condition"]


without("Bucket", "LoggingConfiguration", problem="record of who reads")
without("Bucket", "LifecycleConfiguration.Rules.0", problem="AbortIncompleteMultipartUpload")
without("Bucket", "LifecycleConfiguration.Rules.1", problem="NoncurrentVersionExpiration")
without("Bucket", "LifecycleConfiguration.Rules.1.ExpiredObjectDeleteMarker", problem="delete markers")
set_to("Bucket", "LifecycleConfiguration.Rules.1.ExpirationInDays", 365, problem="current objects expire")
set_to("Bucket", "LifecycleConfiguration.Rules.1.NoncurrentVersionExpiration.NoncurrentDays", 1, problem="for 1 days, not 30")
without("Bucket", "LifecycleConfiguration.Rules.2.Prefix", problem="current objects expire")
set_to("Bucket", "LifecycleConfiguration.Rules.2.Prefix", "runs/", problem="current objects expire")


@fault("Bucket", "current objects expire")
def prepared_data_expire(template):
    rules = template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    rules.append({"Id": "old", "Status": "Enabled", "Prefix": "prepared/", "ExpirationInDays": 90})


without("Bucket", "LifecycleConfiguration.Rules.2", problem="nothing clears checkpoints/")
without("Bucket", "LifecycleConfiguration.Rules.2.ExpirationInDays", problem="nothing clears checkpoints/")
set_to("Bucket", "LifecycleConfiguration.Rules.2.Prefix", "checkpoint/", problem="nothing clears checkpoints/")
set_to(
    "Bucket",
    "LifecycleConfiguration.Rules.2.NoncurrentVersionExpiration.NoncurrentDays",
    90,
    problem="nothing clears checkpoints/",
)
set_to("Bucket", "LifecycleConfiguration.Rules.0.Status", "Disabled", problem="AbortIncompleteMultipartUpload")


# ---- the ledger, and what people may delete ----
def _changed(name, owner, sid, where, problem, **changes):
    def plant(template):
        one = statement(template, owner, sid)
        one.update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del one[key]

    plant.__name__ = name
    fault(where, problem)(plant)


def _under(prefix):
    return {"Fn::Sub": f"${{Bucket.Arn}}/{prefix}"}


LEDGER = ("BucketPolicy", "LedgerIsAddedToAlone", "Bucket")
IF_NONE_MATCH = "s3:if-none-match"
_changed("ledger_allowed", *LEDGER, "ledger/ be overwritten", Effect="Allow")
_changed("ledger_elsewhere", *LEDGER, "ledger/ be overwritten", Resource=_under("ledgers/*"))
_changed("ledger_of_one_principal", *LEDGER, "ledger/ be overwritten", Principal={"AWS": f"arn:aws:iam::{STRANGER}:root"})
_changed("ledger_the_wrong_way_round", *LEDGER, "refuses a put of ledger/x", Condition={"Null": {IF_NONE_MATCH: "false"}})
_changed("ledger_without_condition", *LEDGER, "refuses a put of ledger/x", Condition=None)
_changed("ledger_everywhere", *LEDGER, "refuses a put of runs/x", Resource=_under("*"))
_changed("ledger_deletions", *LEDGER, "ledger/ be overwritten", Action="s3:DeleteObject")
CLEAN = ("AuthorPolicy", "Clean", "NotebookRole")
_changed("clean_everything", *CLEAN, "may delete models/x", Resource=_under("*"))
_changed("clean_the_ledger", *CLEAN, "may delete ledger/x", Resource=[_under("prepared/*"), _under("runs/*"), _under("ledger/*")])
_changed("clean_runs_alone", *CLEAN, "may not delete prepared/x", Resource=_under("runs/*"))
_changed("clean_for_ever", *CLEAN, "may delete versions of runs/x", Action=["s3:DeleteObject", "s3:DeleteObjectVersion"])
_changed("jobs_delete", "JobRole", "ReadAndWriteTheBucket", "JobRole", "may delete runs/x", Action=["s3:DeleteObject"])

# ---- key ----
set_to("Key", "EnableKeyRotation", False, problem="rotated")
without("Key", "EnableKeyRotation", problem="rotated")
set_to("Key", "KeyPolicy.Statement.0.Principal", "*", problem="lets * use it")
set_to("Key", "KeyPolicy.Statement.0.Principal", {"AWS": "*"}, problem="belong to its account")
without("Key", "KeyPolicy.Statement.1.Condition", problem="amazonaws.com use it")
set_to("Key", "KeyPolicy.Statement.1.Principal", {"AWS": f"arn:aws:iam::{STRANGER}:root"}, problem=STRANGER)


@fault("Key", "could ever change it")
def the_key_belongs_to_nobody(template):
    statement(template, "Key", "PoliciesOfTheAccountDecide")["Action"] = "kms:Decrypt"


@fault("Key", "CloudWatch Logs")
def the_key_does_not_serve_logs(template):
    statement(template, "Key", "LogGroups")["Action"].remove("kms:GenerateDataKey")


# ---- repositories, logs ----
set_to("TrainingRepository", "ImageTagMutability", "MUTABLE", problem="moved")
without("CucimTilerRepository", "ImageTagMutability", problem="moved")
set_to("CucimTilerRepository", "ImageScanningConfiguration.ScanOnPush", False, problem="scanned")
without("TrainingRepository", "ImageScanningConfiguration", problem="scanned")
set_to("TrainingRepository", "EncryptionConfiguration", {"EncryptionType": "AES256"}, problem="not encrypted")
set_to("TrainingRepository", "RepositoryName", "training", "ECR::Repository", "pathology-training")
without("FlowLogGroup", "RetentionInDays", problem="for ever")
without("FlowLogGroup", "KmsKeyId", problem="not encrypted")

KEPT = (
    "FileSystem",
    "Bucket",
    "AccessLogBucket",
    "Key",
    "CucimTilerRepository",
    "TrainingRepository",
    "FlowLogGroup",
)


def _not_kept(name, policy, value):
    def plant(template):
        template["Resources"][name].pop(policy)
        if value:
            template["Resources"][name][policy] = value

    plant.__name__ = f"{name}.{policy}={value}"
    fault(name, policy)(plant)


for kept in KEPT:
    _not_kept(kept, "DeletionPolicy", None)
    _not_kept(kept, "UpdateReplacePolicy", "Delete")
_not_kept("FileSystem", "DeletionPolicy", "Snapshot")
_not_kept("Bucket", "DeletionPolicy", "RetainExceptOnCreate")

# ---- the notebook itself ----
set_to("Notebook", "RootAccess", "Enabled", problem="RootAccess")
without("Notebook", "RootAccess", problem="RootAccess")
set_to("Notebook", "DirectInternetAccess", "Enabled", problem="DirectInternetAccess")
without("Notebook", "DirectInternetAccess", problem="DirectInternetAccess")
set_to("Notebook", "InstanceMetadataServiceConfiguration.MinimumInstanceMetadataServiceVersion", "1", problem="IMDSv1")
without("Notebook", "InstanceMetadataServiceConfiguration", problem="IMDSv1")
without("Notebook", "KmsKeyId", problem="not encrypted")
without("Notebook", "LifecycleConfigName", problem="nobody mounts EFS")
gone("Notebook", "notebook", "there is none")


@fault("Notebook", "DirectInternetAccess")
def the_notebook_has_internet_by_default(template):
    template["Parameters"]["NotebookDirectInternet"]["Default"] = "Enabled"


@fault("NotebookLifecycle", "is not on-start.sh")
def another_script_than_the_tested_one(template):
    join = template["Resources"]["NotebookLifecycle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Join"]
    join[1][1] = join[1][1].replace("noresvport", "resvport")


@fault("NotebookLifecycle", "EFS_ID")
def the_script_does_not_know_the_file_system(template):
    join = template["Resources"]["NotebookLifecycle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Join"]
    join[1][0]["Fn::Sub"] = join[1][0]["Fn::Sub"].replace("${FileSystem}", "${MountTargetA}")


@fault("NotebookLifecycle", "in base64")
def a_script_that_is_too_long(template):
    join = template["Resources"]["NotebookLifecycle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Join"]
    join[1][0]["Fn::Sub"] += "# more\n" * 2000
