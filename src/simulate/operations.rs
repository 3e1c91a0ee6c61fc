//! What can be asked of the clouds: the operations that actors of the estate perform, in the shape of their logs.
//!
//! The marks in the templates are those of `text::expand`. The list is a sample, not a reference: it holds what
//! machine identities do all day, and what somebody does who looks around with a key that is not theirs.

/// One operation of AWS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation<'a> {
    /// `eventSource`.
    pub(super) service: &'static str,
    /// `eventName`.
    pub(super) name: &'static str,
    pub(super) read_only: bool,
    /// A data event: something done with a resource's content.
    pub(super) data: bool,
    pub(super) request: &'a str,
    pub(super) response: &'a str,
    /// Content of the list `resources`; empty when the record has none.
    pub(super) resources: &'a str,
    /// Where it is asked for; empty for the account's own region.
    pub(super) region: &'static str,
    /// `errorCode`; empty when it succeeds.
    pub(super) error: &'static str,
}

/// One operation of Azure Resource Manager.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArmOperation {
    pub(super) name: &'static str,
    /// Resource type and name below the resource group.
    pub(super) resource: &'static str,
}

const fn read(
    service: &'static str,
    name: &'static str,
    request: &'static str,
    resources: &'static str,
) -> Operation<'static> {
    Operation {
        service,
        name,
        read_only: true,
        data: false,
        request,
        response: "null",
        resources,
        region: "",
        error: "",
    }
}

const fn write(
    service: &'static str,
    name: &'static str,
    request: &'static str,
    response: &'static str,
    resources: &'static str,
) -> Operation<'static> {
    Operation {
        service,
        name,
        read_only: false,
        data: false,
        request,
        response,
        resources,
        region: "",
        error: "",
    }
}

const fn data(
    service: &'static str,
    name: &'static str,
    read_only: bool,
    request: &'static str,
    resources: &'static str,
) -> Operation<'static> {
    Operation {
        service,
        name,
        read_only,
        data: true,
        request,
        response: "null",
        resources,
        region: "",
        error: "",
    }
}

const BUCKET: &str =
    r#"{"accountId":"@A","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::@N-data-@R"}"#;
const OBJECT: &str = r#"{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::@N-data-@R/daily/part-0000.parquet"},{"accountId":"@A","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::@N-data-@R"}"#;
const TABLE: &str = r#"{"accountId":"@A","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:@R:@A:table/@N-items"}"#;

/// Reading an object; the only operation after which a forward access session may follow (see `aws`).
pub(super) const GET_OBJECT: Operation<'static> = data(
    "s3.amazonaws.com",
    "GetObject",
    true,
    r#"{"bucketName":"@N-data-@R","Host":"@N-data-@R.s3.@R.amazonaws.com","key":"daily/@K/part-0000.parquet","x-id":"GetObject"}"#,
    OBJECT,
);
/// Which identity a key belongs to: the first thing anybody asks who found one.
pub(super) const GET_CALLER_IDENTITY: Operation<'static> =
    read("sts.amazonaws.com", "GetCallerIdentity", "null", "");
/// Every bucket of the account.
pub(super) const LIST_BUCKETS: Operation<'static> = read(
    "s3.amazonaws.com",
    "ListBuckets",
    r#"{"Host":"s3.@R.amazonaws.com"}"#,
    "",
);
/// Every user of the account.
pub(super) const LIST_USERS: Operation<'static> =
    read("iam.amazonaws.com", "ListUsers", r#"{"maxItems":100}"#, "");
/// Every role of the account.
pub(super) const LIST_ROLES: Operation<'static> =
    read("iam.amazonaws.com", "ListRoles", r#"{"maxItems":100}"#, "");
/// Where the account could be used.
pub(super) const DESCRIBE_REGIONS: Operation<'static> = read(
    "ec2.amazonaws.com",
    "DescribeRegions",
    r#"{"regionSet":{},"allRegions":true}"#,
    "",
);
/// Every secret of a region.
pub(super) const LIST_SECRETS: Operation<'static> = read(
    "secretsmanager.amazonaws.com",
    "ListSecrets",
    r#"{"maxResults":100,"includePlannedDeletion":false}"#,
    "",
);

/// An object is overwritten with a copy of itself under a key that only the caller has.
pub(super) const COPY_OBJECT: Operation<'static> = data(
    "s3.amazonaws.com",
    "CopyObject",
    false,
    r#"{"bucketName":"@N-data-@R","Host":"@N-data-@R.s3.@R.amazonaws.com","key":"daily/@K/part-0000.parquet","x-amz-copy-source":"@N-data-@R/daily/@K/part-0000.parquet","x-amz-server-side-encryption-customer-algorithm":"AES256","x-id":"CopyObject"}"#,
    OBJECT,
);
/// How long objects and their old versions are kept.
pub(super) const PUT_LIFECYCLE: Operation<'static> = write(
    "s3.amazonaws.com",
    "PutBucketLifecycle",
    r#"{"bucketName":"@N-data-@R","Host":"@N-data-@R.s3.@R.amazonaws.com","lifecycle":"","LifecycleConfiguration":{"Rule":{"ID":"clean","Status":"Enabled","Filter":{"Prefix":""},"NoncurrentVersionExpiration":{"NoncurrentDays":1}}}}"#,
    "null",
    BUCKET,
);
/// The value of a secret.
pub(super) const GET_SECRET: Operation<'static> = read(
    "secretsmanager.amazonaws.com",
    "GetSecretValue",
    r#"{"secretId":"arn:aws:secretsmanager:@R:@A:secret:@N/database-x7Ka2b","versionStage":"AWSCURRENT"}"#,
    r#"{"accountId":"@A","type":"AWS::SecretsManager::Secret","ARN":"arn:aws:secretsmanager:@R:@A:secret:@N/database-x7Ka2b"}"#,
);

/// Jobs that move objects.
pub(super) const STORAGE: &[Operation<'static>] = &[
    GET_OBJECT,
    data(
        "s3.amazonaws.com",
        "PutObject",
        false,
        r#"{"bucketName":"@N-data-@R","Host":"@N-data-@R.s3.@R.amazonaws.com","key":"incoming/@K.json.gz","x-amz-server-side-encryption":"aws:kms","x-id":"PutObject"}"#,
        OBJECT,
    ),
    data(
        "s3.amazonaws.com",
        "ListObjects",
        true,
        r#"{"list-type":"2","bucketName":"@N-data-@R","Host":"@N-data-@R.s3.@R.amazonaws.com","prefix":"daily/","max-keys":"1000"}"#,
        BUCKET,
    ),
    read(
        "s3.amazonaws.com",
        "GetBucketLocation",
        r#"{"bucketName":"@N-data-@R","location":"","Host":"@N-data-@R.s3.@R.amazonaws.com"}"#,
        BUCKET,
    ),
];

const COMPUTE: &[Operation<'static>] = &[
    read(
        "ec2.amazonaws.com",
        "DescribeInstances",
        r#"{"maxResults":200,"instancesSet":{},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}},{"name":"tag:service","valueSet":{"items":[{"value":"@N"}]}}]}}"#,
        "",
    ),
    read(
        "ec2.amazonaws.com",
        "DescribeInstanceStatus",
        r#"{"includeAllInstances":false,"instancesSet":{"items":[{"instanceId":"i-@I"},{"instanceId":"i-@I"}]},"filterSet":{}}"#,
        "",
    ),
    write(
        "ec2.amazonaws.com",
        "CreateTags",
        r#"{"resourcesSet":{"items":[{"resourceId":"i-@I"}]},"tagSet":{"items":[{"key":"owner","value":"@N"},{"key":"last-check","value":"@K"}]}}"#,
        r#"{"requestId":"@G","_return":true}"#,
        "",
    ),
    read(
        "autoscaling.amazonaws.com",
        "DescribeAutoScalingGroups",
        r#"{"autoScalingGroupNames":["@N-blue","@N-green"],"maxRecords":100}"#,
        "",
    ),
];

/// Jobs that take work from a queue.
pub(super) const MESSAGES: &[Operation<'static>] = &[
    data(
        "sqs.amazonaws.com",
        "ReceiveMessage",
        true,
        r#"{"queueUrl":"https://sqs.@R.amazonaws.com/@A/@N-jobs","maxNumberOfMessages":10,"waitTimeSeconds":20,"messageSystemAttributeNames":["ApproximateReceiveCount"]}"#,
        r#"{"accountId":"@A","type":"AWS::SQS::Queue","ARN":"arn:aws:sqs:@R:@A:@N-jobs"}"#,
    ),
    data(
        "sqs.amazonaws.com",
        "DeleteMessage",
        false,
        r#"{"queueUrl":"https://sqs.@R.amazonaws.com/@A/@N-jobs","receiptHandle":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#,
        r#"{"accountId":"@A","type":"AWS::SQS::Queue","ARN":"arn:aws:sqs:@R:@A:@N-jobs"}"#,
    ),
    data(
        "dynamodb.amazonaws.com",
        "GetItem",
        true,
        r#"{"tableName":"@N-items","key":{"id":"@K"},"consistentRead":false,"returnConsumedCapacity":"TOTAL"}"#,
        TABLE,
    ),
    data(
        "dynamodb.amazonaws.com",
        "PutItem",
        false,
        r#"{"tableName":"@N-items","key":{"id":"@K"},"items":["id","state","updated"],"returnValues":"NONE"}"#,
        TABLE,
    ),
];

const SECRETS: &[Operation<'static>] = &[
    GET_SECRET,
    read(
        "ssm.amazonaws.com",
        "GetParameter",
        r#"{"name":"/@N/settings/endpoint","withDecryption":true}"#,
        r#"{"accountId":"@A","ARN":"arn:aws:ssm:@R:@A:parameter/@N/settings/endpoint"}"#,
    ),
    write(
        "logs.amazonaws.com",
        "CreateLogStream",
        r#"{"logGroupName":"/jobs/@N","logStreamName":"@K-@K-@K"}"#,
        "null",
        "",
    ),
    read(
        "monitoring.amazonaws.com",
        "GetMetricData",
        r#"{"metricDataQueries":[{"id":"m1","metricStat":{"metric":{"namespace":"@N","metricName":"Lag"},"period":60,"stat":"Maximum"}}],"scanBy":"TimestampDescending"}"#,
        "",
    ),
];

const DEPLOY: &[Operation<'static>] = &[
    write(
        "lambda.amazonaws.com",
        "UpdateFunctionCode20150331v2",
        r#"{"functionName":"@N","publish":true,"dryRun":false,"architectures":["arm64"]}"#,
        r#"{"functionName":"@N","functionArn":"arn:aws:lambda:@R:@A:function:@N","runtime":"python3.12","handler":"app.handler","codeSize":4183122,"state":"Active","lastUpdateStatus":"InProgress","revisionId":"@G","packageType":"Zip"}"#,
        "",
    ),
    read(
        "lambda.amazonaws.com",
        "GetFunction20150331v2",
        r#"{"functionName":"arn:aws:lambda:@R:@A:function:@N"}"#,
        "",
    ),
    read(
        "ecr.amazonaws.com",
        "BatchGetImage",
        r#"{"repositoryName":"@N","registryId":"@A","imageIds":[{"imageTag":"build-@K"}],"acceptedMediaTypes":["application/vnd.oci.image.manifest.v1+json"]}"#,
        r#"{"accountId":"@A","type":"AWS::ECR::Repository","ARN":"arn:aws:ecr:@R:@A:repository/@N"}"#,
    ),
    read(
        "cloudformation.amazonaws.com",
        "DescribeStacks",
        r#"{"stackName":"arn:aws:cloudformation:@R:@A:stack/@N/5e0cf1d0-2d43-11ef-8d0c-0a4b1c1b0f55"}"#,
        "",
    ),
    write(
        "cloudformation.amazonaws.com",
        "ExecuteChangeSet",
        r#"{"changeSetName":"release-@K","stackName":"@N","clientRequestToken":"@G"}"#,
        "null",
        "",
    ),
];

/// What one kind of job does. An actor keeps to one of these.
pub(super) const PROFILES: [&[Operation<'static>]; 5] =
    [STORAGE, COMPUTE, MESSAGES, SECRETS, DEPLOY];

/// What people look at in the console.
pub(super) const CONSOLE: &[Operation<'static>] = &[
    COMPUTE[0],
    LIST_BUCKETS,
    read(
        "ce.amazonaws.com",
        "GetCostAndUsage",
        r#"{"granularity":"DAILY","metrics":["UnblendedCost"],"groupBy":[{"type":"DIMENSION","key":"SERVICE"}]}"#,
        "",
    ),
    read(
        "health.amazonaws.com",
        "DescribeEventAggregates",
        r#"{"filter":{"eventStatusCodes":["open","upcoming"]},"aggregateField":"eventTypeCategory"}"#,
        "",
    ),
];

/// What the recorder of configurations asks in the account's name.
pub(super) const RECORDER: &[Operation<'static>] = &[
    read(
        "elasticloadbalancing.amazonaws.com",
        "DescribeLoadBalancers",
        "null",
        "",
    ),
    read(
        "lambda.amazonaws.com",
        "ListFunctions20150331",
        r#"{"maxItems":50}"#,
        "",
    ),
    LIST_ROLES,
];

/// What deployments and controllers do through Azure Resource Manager.
pub(super) const ARM_PROFILES: [&[ArmOperation]; 3] = [
    &[
        ArmOperation {
            name: "Microsoft.Compute/virtualMachines/write",
            resource: "Microsoft.Compute/virtualMachines",
        },
        ArmOperation {
            name: "Microsoft.Network/networkInterfaces/write",
            resource: "Microsoft.Network/networkInterfaces",
        },
        ArmOperation {
            name: "Microsoft.Compute/virtualMachines/start/action",
            resource: "Microsoft.Compute/virtualMachines",
        },
    ],
    &[
        ArmOperation {
            name: "Microsoft.Web/sites/config/write",
            resource: "Microsoft.Web/sites",
        },
        ArmOperation {
            name: "Microsoft.Web/sites/restart/action",
            resource: "Microsoft.Web/sites",
        },
        ArmOperation {
            name: "Microsoft.Resources/deployments/write",
            resource: "Microsoft.Resources/deployments",
        },
    ],
    &[
        ArmOperation {
            name: "Microsoft.Storage/storageAccounts/listKeys/action",
            resource: "Microsoft.Storage/storageAccounts",
        },
        ArmOperation {
            name: "Microsoft.Storage/storageAccounts/blobServices/containers/write",
            resource: "Microsoft.Storage/storageAccounts",
        },
        ArmOperation {
            name: "Microsoft.KeyVault/vaults/write",
            resource: "Microsoft.KeyVault/vaults",
        },
    ],
];

/// What is asked of Microsoft Graph: method and path.
pub(super) const GRAPH: [(&str, &str); 4] = [
    (
        "GET",
        "users?$select=id,displayName,accountEnabled&$top=999",
    ),
    ("GET", "groups?$select=id,displayName&$top=999"),
    ("GET", "applications?$select=id,appId,passwordCredentials"),
    ("GET", "auditLogs/signIns?$top=500"),
];
