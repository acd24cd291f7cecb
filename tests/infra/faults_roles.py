"""Faults of roles and of outputs."""

from faults import STRANGER, attribute, fault, gone, ref, set_to, statement, without

# ---- trust ----
SERVICE = "AssumeRolePolicyDocument.Statement.0.Principal"
set_to("PipelineRole", SERVICE, {"Service": "ec2.amazonaws.com"}, problem="ec2.amazonaws.com")
set_to("JobRole", SERVICE, {"Service": ["sagemaker.amazonaws.com", "lambda.amazonaws.com"]}, problem="lambda.amazonaws.com")
set_to("NotebookRole", SERVICE, {"AWS": "*"}, problem="'*'")
set_to("JobRole", SERVICE, {"AWS": f"arn:aws:iam::{STRANGER}:root"}, problem=STRANGER)
set_to("FlowLogRole", SERVICE, {"Service": "sagemaker.amazonaws.com"}, problem="vpc-flow-logs")
without("JobRole", "AssumeRolePolicyDocument.Statement.0.Condition", problem="aws:SourceAccount")
set_to("PipelineRole", "AssumeRolePolicyDocument.Statement.0.Action", ["sts:AssumeRole", "sts:TagSession"], problem="TagSession")


# ---- PassRole ----
def _changed(name, owner, sid, where, problem, **changes):
    def plant(template):
        one = statement(template, owner, sid)
        for key, value in changes.items():
            if value is None:
                del one[key]
            else:
                one[key] = value

    plant.__name__ = name
    fault(where, problem)(plant)


PASS = ("PipelineRole", "PassTheJobRole", "PipelineRole/pipeline, PassTheJobRole")
_changed("pass_any_role", *PASS, "one role", Resource="*")
_changed("pass_roles_by_a_pattern", *PASS, "one role", Resource={"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/*"})
_changed("pass_to_any_service", *PASS, "any service", Condition=None)
_changed(
    *("pass_to_another_service", *PASS, "any service"), Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
)
_changed("pass_two_roles", *PASS, "one role", Resource=[attribute("JobRole", "Arn"), attribute("NotebookRole", "Arn")])
_changed(
    *("pass_itself", "PipelineRole", "PassTheJobRole", "PipelineRole", "may pass PipelineRole"),
    Resource=attribute("PipelineRole", "Arn"),
)
_changed(
    *("person_passes_the_job_role", "AuthorPolicy", "PassThePipelineRole", "NotebookRole", "may pass JobRole"),
    Resource=attribute("JobRole", "Arn"),
)

# ---- actions and resources ----
JOB = ("JobRole", "ReadAndWriteTheBucket", "JobRole/job, ReadAndWriteTheBucket")
_changed("job_does_anything", *JOB, "allows *", Action="*")
_changed("job_does_anything_with_s3", *JOB, "allows s3:*", Action=["s3:*"])
_changed("job_gets_by_a_pattern", *JOB, "s3:Get*", Action="s3:Get*")
_changed("job_reads_any_bucket", *JOB, "on everything", Resource="*")
_changed("a_statement_without_a_sid", *JOB[:2], "JobRole/job", "Sid", Sid=None)
_changed("key_of_anybody", "JobRole", "UseTheKey", "JobRole/job, UseTheKey", "on everything", Resource="*")
_changed(
    "groups_of_anybody",
    "AuthorPolicy",
    "MakeGroupsOfVersions",
    "AuthorPolicy, MakeGroupsOfVersions",
    "on everything",
    Resource="*",
)
_changed("job_writes_elsewhere", *JOB[:2], "output BucketName", "PutObject", Resource={"Fn::Sub": "${AccessLogBucket.Arn}/*"})
set_to("JobRole", "ManagedPolicyArns.0", "arn:aws:iam::aws:policy/AdministratorAccess", problem="AdministratorAccess")
set_to(
    "NotebookRole",
    "ManagedPolicyArns.0",
    "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess",
    problem="AmazonSageMakerFullAccess",
)

# ---- the network is forced on jobs ----
gone("InTheVpcPolicy", "PipelineRole")
without("PipelineRole", "ManagedPolicyArns", problem="no Deny refuses sagemaker:CreateTrainingJob")
without("NotebookRole", "ManagedPolicyArns.1", problem="no Deny refuses")
DENY = ("InTheVpcPolicy", "NoJobWithoutSubnets", "PipelineRole")
CREATES = ["sagemaker:CreateTrainingJob", "sagemaker:CreateModel"]
_changed("processing_outside_of_the_network", *DENY, "CreateProcessingJob", Action=CREATES)
_changed(
    "models_outside_of_the_network", *DENY, "CreateModel", Action=["sagemaker:CreateTrainingJob", "sagemaker:CreateProcessingJob"]
)
_changed("deny_became_allow", *DENY, "may sagemaker:CreateTrainingJob without subnets", Effect="Allow")
_changed("null_the_wrong_way_round", *DENY, "may not", Condition={"Null": {"sagemaker:VpcSubnets": "false"}})
_changed("deny_for_jobs_of_one_name", *DENY, "no Deny", Resource="arn:aws:sagemaker:*:*:training-job/x")
_changed("deny_without_condition", *DENY, "may not sagemaker:CreateTrainingJob", Condition=None)
_changed("null_of_another_key", *DENY, "inside of a network too", Condition={"Null": {"sagemaker:VolumeKmsKey": "true"}})
START = ("PipelineRole", "StartJobsInOurSubnets", "PipelineRole")
_changed("jobs_in_strange_subnets", *START, "in a strange subnet", Condition=None)
_changed(
    *("jobs_in_the_public_subnet", *START, "may not"),
    Condition={"ForAllValues:StringEquals": {"sagemaker:VpcSubnets": [ref("PublicSubnet")]}},
)
_changed("jobs_with_any_security_group", *START, "strange security group",
         Condition={"ForAllValues:StringEquals": {"sagemaker:VpcSubnets": [ref("PrivateSubnetA"), ref("PrivateSubnetB")]}})  # fmt: skip
_changed("pipeline_starts_no_processing", *START, "may not sagemaker:CreateProcessingJob", Action="sagemaker:CreateTrainingJob")


_changed(*("jobs_pull_no_tiler", "JobRole", "ServicePullsImages", "JobRole", "pulling images"),
         Resource={"Fn::Sub": "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/pathology-training"})  # fmt: skip
_changed("jobs_write_no_logs", "JobRole", "ServiceWritesLogs", "JobRole", "logs", Action="logs:CreateLogGroup")
_changed("jobs_write_any_metric", "JobRole", "ServiceWritesMetrics", "ServiceWritesMetrics", "for any", Condition=None)
_changed(
    *("jobs_mount_nothing", "JobRole", "ServiceMountsTheFileSystem", "JobRole", "mounting EFS"),
    Resource={"Fn::GetAtt": ["Key", "Arn"]},
)
_changed(
    *("jobs_take_a_service_action_too_many", "JobRole", "ServiceUnlocksVolumes", "ServiceUnlocksVolumes", "written needs"),
    Action=["kms:CreateGrant", "kms:DescribeKey", "kms:ScheduleKeyDeletion"],
)
without("JobRole", "ManagedPolicyArns.1", problem="a network interface in the VPC")
set_to("FlowLogRole", "Policies.0.PolicyDocument.Statement.0.Action", ["logs:CreateLogStream"], problem="PutLogEvents")


# ---- who approves ----
_changed("approver_of_any_group", "ApproverPolicy", "ReviewVersions", "ApproverPolicy", "any group",
         Resource={"Fn::Sub": "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:model-package/*"})  # fmt: skip
_changed("approver_does_not", "ApproverPolicy", "ReviewVersions", "ApproverPolicy", "does not let", Effect="Deny")
_changed("approver_deletes", "ApproverPolicy", "ReviewVersions", "ApproverPolicy", "no approval",
         Action=["sagemaker:UpdateModelPackage", "sagemaker:DeleteModelPackage"])  # fmt: skip
_changed("approver_only_rejects", "ApproverPolicy", "ReviewVersions", "ApproverPolicy", "does not let",
         Condition={"StringEquals": {"sagemaker:ModelApprovalStatus": "Rejected"}})  # fmt: skip
_changed("person_approves", "AuthorPolicy", "ReadVersions", "NotebookRole", "may approve", Action="sagemaker:UpdateModelPackage")
for name in ("NotebookRole", "PipelineRole", "JobRole"):
    set_to(name, "ManagedPolicyArns.0", ref("ApproverPolicy"), name, "which is for people")
gone("NoApprovalPolicy", "JobRole", "no Deny refuses sagemaker:UpdateModelPackage (ModelApprovalStatus Approved)")
without("JobRole", "ManagedPolicyArns.2", problem="may approve")
without("PipelineRole", "ManagedPolicyArns.1", problem="may approve")
STATUS, STAGE = "sagemaker:ModelApprovalStatus", "sagemaker:ModelLifeCycle:stageStatus"
SET = ("NoApprovalPolicy", "NoStatusIsSet", "JobRole")
_changed("status_for_everybody", *SET, "which decides nothing", Condition=None)
_changed("status_the_wrong_way_round", *SET, "may approve", Condition={"Null": {STATUS: "true"}})
_changed("status_of_another_key", *SET, "may approve", Condition={"Null": {STAGE: "false"}})
_changed("status_approved_alone", *SET, "ModelApprovalStatus Rejected", Condition={"StringEquals": {STATUS: "Approved"}})
_changed("status_other_than_approved", *SET, "may approve", Condition={"StringNotEquals": {STATUS: "Approved"}})
_changed("status_allowed", *SET, "may approve", Effect="Allow")
_changed("status_of_a_call_that_sets_none", *SET, "may approve", Action="sagemaker:DeleteModelPackage")
_changed("status_of_one_version", *SET, "may approve", Resource="arn:aws:sagemaker:*:*:model-package/x/1")
_FORGED = (("NobodyIsNamedAsDeciding", "decided_by"), ("NoTimeOfADecision", "decided_at"), ("NoDecision", "decision"),
           ("NoWarningIsAccepted", "accepted_warnings"))  # fmt: skip
for sid, key in _FORGED:
    SAID = ("NoApprovalPolicy", sid, "JobRole")
    condition = f"sagemaker:CustomerMetadataProperties/{key}"
    _changed(
        f"{key}_of_another_key", *SAID, f"CustomerMetadataProperties/{key} x", Condition={"Null": {condition + "s": "false"}}
    )
    _changed(f"{key}_the_wrong_way_round", *SAID, f"CustomerMetadataProperties/{key} x", Condition={"Null": {condition: "true"}})
    _changed(f"{key}_denies_all_updates", *SAID, "which decides nothing", Condition=None)
    _changed(f"{key}_of_updates_alone", *SAID[:2], "PipelineRole", f"CreateModelPackage (CustomerMetadataProperties/{key} x)",
             Action="sagemaker:UpdateModelPackage")  # fmt: skip
BORN = ("NoApprovalPolicy", "NoVersionStartsApproved", "PipelineRole")
_changed("born_approved", *BORN, "may approve", Condition={"StringEquals": {STATUS: "Rejected"}})
_changed("never_born", *BORN, "which decides nothing", Condition=None)
_changed("born_the_wrong_way_round", *BORN, "may approve", Condition={"StringNotEquals": {STATUS: "Approved"}})
STAGED = ("NoApprovalPolicy", "NoStageIsApproved", "JobRole")
_changed("stage_approved", *STAGED, "may approve", Condition={"StringEquals": {STAGE: "Rejected"}})
_changed("stage_rejected", *STAGED, "stageStatus Rejected", Condition={"StringEquals": {STAGE: "Approved"}})
_changed("no_stage", *STAGED, "which decides nothing", Condition={"Null": {STAGE: "false"}})
_changed("stage_of_updates_alone", *STAGED[:2], "PipelineRole", "stageStatus Approved", Action="sagemaker:UpdateModelPackage")
_changed("job_does_not_describe", "JobRole", "DescribeVersions", "JobRole", "may not describe", Effect="Deny")


@fault("JobRole", "pipelines alone start jobs")
def a_job_starts_jobs(template):
    document = template["Resources"]["JobRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    document["Statement"].append(
        {
            "Sid": "More",
            "Effect": "Allow",
            "Action": "sagemaker:CreateTrainingJob",
            "Resource": {"Fn::Sub": "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:training-job/*"},
        }
    )


# ---- outputs ----
def _output(name, value, problem=""):
    def plant(template):
        template["Outputs"][name]["Value"] = value

    plant.__name__ = f"output_{name}_is_{value}"
    fault(f"output {name}", problem)(plant)


def _no_output(name):
    def plant(template):
        del template["Outputs"][name]

    plant.__name__ = f"no_output_{name}"
    fault(f"output {name}", "missing")(plant)


for output in (
    *(
        "EFSFileSystemId",
        "SageMakerNotebookInstanceName",
        "PrivateSubnetIds",
        "JobSecurityGroupId",
        "PipelineRoleArn",
        "JobRoleArn",
        "ApproverPolicyArn",
        "DeployerPolicyArn",
    ),
    *("PublicSubnetId", "PrivateSubnetAId", "PrivateSubnetBId", "EndpointSecurityGroupId"),
    *("BucketName", "CucimTilerRepositoryUri", "TrainingRepositoryUri", "KmsKeyArn", "Region", "AccountId", "VpcId"),
):
    _no_output(output)
_output("EFSFileSystemId", ref("MountTargetA"), "EFS::FileSystem")
_output("EFSFileSystemId", attribute("FileSystem", "Arn"), "EFS::FileSystem")
_output("SageMakerNotebookInstanceName", ref("Notebook"), ".NotebookInstanceName")
_output("PrivateSubnetIds", {"Fn::Join": [",", [ref("PrivateSubnetA")]]}, "jobs want two")
_output("PrivateSubnetIds", {"Fn::Join": [",", [ref("PrivateSubnetA"), ref("PrivateSubnetA")]]}, "jobs want two")
_output("JobSecurityGroupId", ref("NotebookSecurityGroup"), "hosts of one job")
_output("NotebookSecurityGroupId", ref("JobSecurityGroup"), "in use is")
_output("EfsSecurityGroupId", ref("EndpointSecurityGroup"), "in use is")
_output("EndpointSecurityGroupId", ref("EfsSecurityGroup"), "in use is")
_output("PipelineRoleArn", ref("PipelineRole"), "IAM::Role.Arn")
_output("NotebookRoleArn", attribute("JobRole", "Arn"), "in use is")
_output("BucketName", ref("AccessLogBucket"), "may not")
_output("BucketName", attribute("Bucket", "Arn"), "S3::Bucket")
_output("AuthorPolicyArn", ref("InTheVpcPolicy"), "nobody starts a pipeline")
_output("TrainingRepositoryUri", {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/pathology-cucim-tiler"})
_output("KmsKeyArn", ref("Key"), "KMS::Key.Arn")


@fault("AuthorPolicy", "no approval")
def whoever_runs_is_the_approver(template):
    template["Outputs"]["ApproverPolicyArn"]["Value"] = ref("AuthorPolicy")


@fault("PrivateSubnetA", "is the public subnet and a private one")
def the_public_subnet_is_a_private_one(template):
    template["Outputs"]["PublicSubnetId"]["Value"] = ref("PrivateSubnetA")


@fault("PublicDefaultRoute", "from the private subnet PublicSubnet")
def a_private_subnet_is_the_public_one(template):
    template["Outputs"]["PrivateSubnetIds"]["Value"] = {"Fn::Join": [",", [ref("PrivateSubnetA"), ref("PublicSubnet")]]}


@fault("JobRole", "may not sagemaker:CreateTrainingJob")
def pipeline_and_job_role_are_mixed_up(template):
    outputs = template["Outputs"]
    outputs["PipelineRoleArn"], outputs["JobRoleArn"] = outputs["JobRoleArn"], outputs["PipelineRoleArn"]


@fault("output NotebookRoleArn")
def the_notebook_has_the_pipelines_role(template):
    template["Resources"]["Notebook"]["Properties"]["RoleArn"] = attribute("PipelineRole", "Arn")


# ---- who deploys ----
def _deployer(sid, key, value, words):
    def plant(template):
        for one in template["Resources"]["DeployerPolicy"]["Properties"]["PolicyDocument"]["Statement"]:
            if one["Sid"] == sid:
                if value is None:
                    del one[key]
                else:
                    one[key] = value(one[key]) if callable(value) else value

    plant.__name__ = f"deployer_{sid}_{key}_{words}"
    fault("DeployerPolicy", words)(plant)


_deployer("MakeModelsInTheVpc", "Condition", None, "sagemaker:CreateModel in no network")
_deployer("MakeModelsInTheVpc", "Action", "sagemaker:DescribeModel", "does not let a person sagemaker:CreateModel")
_deployer("PassTheJobRole", "Resource", attribute("PipelineRole", "Arn"), "passes <PipelineRole.Arn>")
for _action in ("CreateEndpoint", "UpdateEndpoint", "InvokeEndpoint", "DeleteModel"):
    _deployer(
        "DeployAndAsk",
        "Action",
        lambda actions, name=_action: [one for one in actions if one != f"sagemaker:{name}"],
        f"does not let a person sagemaker:{_action}",
    )
_deployer(
    "DeployAndAsk",
    "Resource",
    {"Fn::Sub": "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:*"},
    "of others than ours",
)


@fault("JobRole", "has DeployerPolicy, which is for people")
def a_job_deploys(template):
    template["Resources"]["JobRole"]["Properties"]["ManagedPolicyArns"].append(ref("DeployerPolicy"))
