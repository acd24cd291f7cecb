"""Faults of the network: nobody's eye sees these in a review, and most public checkers do not either."""

from faults import fault, gone, ref, set_to, without


def rule(template, kind, **properties):
    template["Resources"]["Planted"] = {"Type": f"AWS::EC2::{kind}", "Properties": properties}


set_to("Vpc", "EnableDnsHostnames", False, problem="EnableDnsHostnames")
set_to("Vpc", "EnableDnsSupport", False, problem="EnableDnsSupport")
without("Vpc", "EnableDnsHostnames", problem="EnableDnsHostnames")
gone("FlowLog", "Vpc", "no flow log")
set_to("FlowLog", "TrafficType", "REJECT", problem="REJECT")
set_to("FlowLog", "ResourceId", ref("PrivateSubnetA"), "Vpc", "no flow log")
gone("FlowLogGroup", "FlowLog")
set_to("PrivateSubnetB", "AvailabilityZone", {"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "private subnets", "one zone")
set_to("PrivateSubnetB", "CidrBlock", "10.42.16.0/21", problem="overlaps")
set_to("PrivateSubnetB", "CidrBlock", "10.43.0.0/20", problem="not inside")
set_to("PrivateSubnetA", "MapPublicIpOnLaunch", True, problem="public addresses")
set_to("PublicSubnet", "MapPublicIpOnLaunch", True, problem="public address")
set_to(
    "PrivateSubnetARoutes",
    "RouteTableId",
    ref("PublicRouteTable"),
    "PublicDefaultRoute",
    "from the private subnet PrivateSubnetA",
)
gone("PrivateSubnetBRoutes", "PrivateSubnetB", "0 route tables")
set_to("PrivateSubnetBRoutes", "SubnetId", ref("PrivateSubnetA"), "PrivateSubnetA", "2 route tables")
gone("PublicDefaultRoute", "PublicSubnet", "no route to an internet gateway")
gone("InternetGatewayAttachment", "PublicSubnet", "no route to an internet gateway")
set_to("PublicSubnetRoutes", "RouteTableId", ref("PrivateRouteTableA"), "PublicSubnet", "no route")


@fault("Planted", "from the private subnet PrivateSubnetA to <InternetGateway>")
def private_subnet_routed_to_the_internet_gateway(template):
    rule(
        template,
        "Route",
        RouteTableId=ref("PrivateRouteTableA"),
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=ref("InternetGateway"),
    )


@fault("Planted", "from the private subnet PrivateSubnetB to <Nat>")
def private_subnet_routed_to_a_nat_gateway(template):
    template["Resources"]["Nat"] = {"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": ref("PublicSubnet")}}
    rule(template, "Route", RouteTableId=ref("PrivateRouteTableB"), DestinationCidrBlock="0.0.0.0/0", NatGatewayId=ref("Nat"))


@fault("Planted", "to <Out>")
def private_subnet_routed_out_by_ipv6(template):
    template["Resources"]["Out"] = {"Type": "AWS::EC2::EgressOnlyInternetGateway", "Properties": {"VpcId": ref("Vpc")}}
    rule(
        template,
        "Route",
        RouteTableId=ref("PrivateRouteTableB"),
        DestinationIpv6CidrBlock="::/0",
        EgressOnlyInternetGatewayId=ref("Out"),
    )


# ---- EFS ----
gone("MountTargetB", "PrivateSubnetB", "0 mount targets")
set_to("MountTargetB", "SubnetId", ref("PrivateSubnetA"), "PrivateSubnetB", "0 mount targets")
set_to("MountTargetA", "SubnetId", ref("PublicSubnet"), "MountTargetA", "no private subnet")
set_to("MountTargetA", "SecurityGroups", [ref("JobSecurityGroup")], "MountTargetA", "cannot be reached")
set_to("MountTargetB", "SecurityGroups", [], "MountTargetB")
set_to("EfsFromJobs", "FromPort", 2094, "MountTargetA", "JobSecurityGroupId")
set_to("EfsFromJobs", "ToPort", 2048, "MountTargetB", "JobSecurityGroupId")
set_to("EfsFromJobs", "IpProtocol", "udp", "MountTargetA", "JobSecurityGroupId")
set_to("EfsFromNotebook", "SourceSecurityGroupId", ref("JobSecurityGroup"), "MountTargetA", "NotebookSecurityGroupId")
set_to("EfsFromNotebook", "GroupId", ref("EndpointSecurityGroup"), "MountTargetA", "NotebookSecurityGroupId")
gone("EfsFromJobs", "MountTargetA", "JobSecurityGroupId")
set_to("JobSecurityGroup", "SecurityGroupEgress.0.FromPort", 2050, "MountTargetA", "JobSecurityGroupId")
set_to("JobSecurityGroup", "SecurityGroupEgress.0.DestinationSecurityGroupId", ref("EndpointSecurityGroup"), "MountTargetB")
without("NotebookSecurityGroup", "SecurityGroupEgress.0", "MountTargetA", "NotebookSecurityGroupId")

# ---- security groups ----
without("JobSecurityGroup", "SecurityGroupEgress.1", "SageMakerApiEndpoint", "JobSecurityGroupId")
without("EfsSecurityGroup", "SecurityGroupEgress", "EfsSecurityGroup", "CloudFormation then allows all")
set_to("JobSecurityGroup", "SecurityGroupEgress.1.CidrIp", "10.42.0.0/16", "output JobSecurityGroupId", "S3")
set_to("JobSecurityGroup", "SecurityGroupEgress.1.IpProtocol", "-1", problem="out to 0.0.0.0/0")
set_to("NotebookSecurityGroup", "SecurityGroupEgress.1.ToPort", 65535, problem="out to 0.0.0.0/0")
without("EndpointSecurityGroup", "SecurityGroupEgress", problem="CloudFormation then allows all")
gone("EndpointsFromJobs", "StsEndpoint", "JobSecurityGroupId")
set_to("EndpointsFromJobs", "GroupId", ref("EfsSecurityGroup"), "StsEndpoint", "JobSecurityGroupId")
set_to("EndpointsFromNotebook", "ToPort", 80, "LogsEndpoint", "NotebookSecurityGroupId")
set_to("EndpointsFromJobs", "FromPort", 0, problem="which nothing needs")
gone("JobsFromEachOther", "output JobSecurityGroupId", "hosts of one job")
set_to(
    "JobsToEachOther", "DestinationSecurityGroupId", ref("NotebookSecurityGroup"), "output JobSecurityGroupId", "hosts of one job"
)


@fault("Planted", "lets addresses in (0.0.0.0/0)")
def efs_open_to_everybody(template):
    rule(
        template,
        "SecurityGroupIngress",
        GroupId=ref("EfsSecurityGroup"),
        IpProtocol="tcp",
        FromPort=2049,
        ToPort=2049,
        CidrIp="0.0.0.0/0",
    )


@fault("Planted", "lets addresses in (::/0)")
def endpoints_open_to_everybody_by_ipv6(template):
    rule(template, "SecurityGroupIngress", GroupId=ref("EndpointSecurityGroup"), IpProtocol="-1", CidrIpv6="::/0")


@fault("NotebookSecurityGroup", "lets addresses in (0.0.0.0/0)")
def the_notebook_open_by_ssh(template):
    group = template["Resources"]["NotebookSecurityGroup"]["Properties"]
    group["SecurityGroupIngress"] = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}]


@fault("Planted", "which nothing needs")
def jobs_let_the_notebook_in(template):
    peers = {"GroupId": ref("JobSecurityGroup"), "SourceSecurityGroupId": ref("NotebookSecurityGroup")}
    rule(template, "SecurityGroupIngress", **peers, IpProtocol="tcp", FromPort=22, ToPort=22)


# ---- endpoints ----
gone("SageMakerApiEndpoint", "endpoints", "sagemaker.api")
gone("SageMakerRuntimeEndpoint", "endpoints", "sagemaker.runtime")
gone("StsEndpoint", "endpoints", "sts")
gone("LogsEndpoint", "endpoints", "logs")
gone("EcrApiEndpoint", "endpoints", "ecr.api")
gone("EcrDockerEndpoint", "endpoints", "ecr.dkr")
gone("S3Endpoint", "endpoints", "s3")
set_to("StsEndpoint", "ServiceName", {"Fn::Sub": "com.amazonaws.${AWS::Region}.sqs"}, "endpoints", "none for sts")
set_to("StsEndpoint", "PrivateDnsEnabled", False, problem="private DNS")
set_to("StsEndpoint", "VpcEndpointType", "Gateway", problem="not a valid interface endpoint")
set_to("LogsEndpoint", "SubnetIds", [ref("PublicSubnet")], problem="private subnets")
set_to("LogsEndpoint", "SubnetIds", [ref("PrivateSubnetA")], problem="private subnets")
set_to("EcrApiEndpoint", "SecurityGroupIds", [ref("EfsSecurityGroup")], problem="cannot be reached")
without("EcrApiEndpoint", "SecurityGroupIds", problem="no security group")
without("SageMakerApiEndpoint", "PolicyDocument", problem="no policy")
without("SageMakerRuntimeEndpoint", "PolicyDocument.Statement.0.Condition", problem="more than this account")
set_to("KmsInterfaceEndpoint", "PrivateDnsEnabled", False, problem="private DNS")
set_to("MonitoringInterfaceEndpoint", "SubnetIds", [ref("PublicSubnet")], problem="private subnets")
set_to("S3Endpoint", "RouteTableIds", [ref("PrivateRouteTableA")], problem="PrivateSubnetB")
set_to("S3Endpoint", "RouteTableIds", [ref("PrivateRouteTableB"), ref("PublicRouteTable")], problem="PrivateSubnetA")
set_to("S3Endpoint", "VpcEndpointType", "Interface", problem="Gateway")
without("S3Endpoint", "PolicyDocument.Statement.0.Condition", problem="more than this account")

gone("MonitoringInterfaceEndpoint", "parameter MonitoringEndpoint", "changes nothing")

# ---- where the notebook is ----
set_to("Notebook", "SubnetId", ref("PublicSubnet"), problem="no private subnet")
set_to("Notebook", "SecurityGroupIds", [ref("JobSecurityGroup")], problem="security groups")


@fault("Notebook", "may start before MountTargetA")
def the_notebook_does_not_wait_for_efs(template):
    template["Resources"]["Notebook"]["DependsOn"] = ["MountTargetB"]
