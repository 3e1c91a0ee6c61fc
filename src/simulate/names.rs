//! Words, clients and networks from which the estate is made up.
//!
//! Nothing here stands for anybody: names are invented, and addresses drawn from these first bytes say nothing about
//! who owns them.

/// First bytes from which addresses are made up, by what stands behind them.
pub(super) const OFFICE: &[u8] = &[81, 91, 193];
pub(super) const EGRESS: &[u8] = &[18, 34, 44, 52, 54];
pub(super) const AZURE: &[u8] = &[20, 40, 51];
pub(super) const RUNNERS: &[u8] = &[4, 13, 23, 135];
/// Used by the attack stories and by nobody else, so that their networks are new to everybody.
pub(super) const HOSTING: &[u8] = &[45, 185, 194];

pub(super) const REGIONS: [&str; 5] = [
    "eu-west-1",
    "us-east-1",
    "eu-central-1",
    "us-west-2",
    "ap-southeast-2",
];
pub(super) const SYSTEMS: [&str; 16] = [
    "orders", "billing", "catalog", "search", "ledger", "reports", "media", "shipping", "payments",
    "stock", "profiles", "alerts", "metrics", "pricing", "exports", "gateway",
];
pub(super) const TASKS: [&str; 10] = [
    "sync", "backup", "ingest", "deploy", "indexer", "exporter", "scanner", "loader", "mailer",
    "archiver",
];
pub(super) const PEOPLE: [&str; 10] = [
    "ines.kram",
    "tomas.vell",
    "oda.brandt",
    "yusuf.amari",
    "lea.morin",
    "piotr.zak",
    "maren.holt",
    "sana.iqbal",
    "jon.aberg",
    "rita.conde",
];
pub(super) const AGENTS: [&str; 5] = [
    "Boto3/1.34.69 md/Botocore#1.34.69 ua/2.0 os/linux#5.10.214-202.855.amzn2.x86_64 md/arch#x86_64 lang/python#3.11.8 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.34.69",
    "aws-cli/2.15.30 Python/3.11.8 Linux/6.1.79-99.167.amzn2023.x86_64 exe/x86_64.amzn.2023 prompt/off command/s3.sync",
    "aws-sdk-go-v2/1.26.1 os/linux lang/go#1.22.2 md/GOOS#linux md/GOARCH#amd64 api/s3#1.53.1 exec-env/none",
    "APN/1.0 HashiCorp/1.0 Terraform/1.7.5 (+https://www.terraform.io) terraform-provider-aws/5.42.0 aws-sdk-go-v2/1.26.0 os/linux lang/go#1.21.8 md/GOOS#linux md/GOARCH#amd64",
    "aws-sdk-java/2.25.16 Linux/5.15.0-1056-aws OpenJDK_64-Bit_Server_VM/21.0.2+13-LTS Java/21.0.2 vendor/Eclipse_Adoptium io/sync http/Apache cfg/retry-mode/legacy",
];
pub(super) const FUNCTION_AGENT: &str = "Boto3/1.34.42 md/Botocore#1.34.42 ua/2.0 os/linux#5.10.213-224.841.amzn2.x86_64 md/arch#x86_64 lang/python#3.12.2 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.34.42";
pub(super) const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:124.0) Gecko/20100101 Firefox/124.0";
