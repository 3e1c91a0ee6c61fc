//! What sort of thing a resource is, read from its id alone.

use std::borrow::Cow;

/// Services whose resources have no type, so that what stands before a slash or colon is a name that somebody chose.
const WITHOUT_TYPES: [&str; 5] = ["codecommit", "codepipeline", "execute-api", "sns", "sqs"];

/// A class is a few words; what is longer is none.
const LENGTH_MAX: usize = 100;

/// The class of the resource `id`: `s3:object`, `lambda:function`, `microsoft.storage/storageaccounts`. None where the id does
/// not tell. As far as the formats say, nothing of it is a name that somebody chose.
///
/// ARNs are `arn:partition:service:region:account:resource`, and a resource is `id`, `type/id` or `type:id` (AWS IAM user guide,
/// "Identify AWS resources with ARNs"); S3's have neither region nor account and begin with a bucket's name. Azure's ids name
/// a provider and its types and names in turn (Azure Resource Manager, "Resource ID").
pub fn resource_class(id: &str) -> Option<Cow<'_, str>> {
    let class = match id.strip_prefix("arn:") {
        Some(arn) => of_arn(arn),
        None => of_azure(id).map(Cow::Owned),
    };
    class.filter(|class| class.len() <= LENGTH_MAX)
}

fn of_arn(arn: &str) -> Option<Cow<'_, str>> {
    let mut parts = arn.splitn(5, ':');
    let (_, service) = (parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    if service == "s3" {
        let own = !region.is_empty() || !account.is_empty();
        let class = match resource {
            _ if own => "s3:accesspoint",
            _ if resource.contains('/') => "s3:object",
            _ => "s3:bucket",
        };
        return Some(Cow::Borrowed(class));
    }
    let kind = resource.split_once(['/', ':']).map(|(kind, _)| kind);
    let kind = kind.filter(|kind| {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        !kind.is_empty() && kind.bytes().all(word) && !WITHOUT_TYPES.contains(&service)
    });
    Some(match kind {
        Some(kind) => Cow::Owned(format!("{service}:{kind}")),
        None => Cow::Borrowed(service),
    })
}

fn of_azure(id: &str) -> Option<String> {
    // Of an extension the provider counts, not that of what it extends: the last one.
    let mut parts = id.split('/');
    let mut last = None;
    while let Some(part) = parts.next() {
        if part.eq_ignore_ascii_case("providers") {
            last = parts.clone().next().zip(parts.clone().nth(1)).or(last);
        }
    }
    let (provider, kind) = last?;
    Some(format!("{provider}/{kind}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::resource_class;

    #[test]
    fn classes_hold_no_names() {
        let check = |id: &str, class: Option<&str>| {
            assert_eq!(resource_class(id).as_deref(), class, "{id}");
        };
        check("arn:aws:s3:::ledger/2026/11/a.parquet", Some("s3:object"));
        check("arn:aws:s3:::ledger", Some("s3:bucket"));
        check(
            "arn:aws:lambda:eu-west-1:210987654321:function:resize",
            Some("lambda:function"),
        );
        check(
            "arn:aws:dynamodb:eu-west-1:210987654321:table/orders/index/day",
            Some("dynamodb:table"),
        );
        check("arn:aws-cn:sqs:cn-north-1:210987654321:orders", Some("sqs"));
        check(
            "arn:aws:sns:eu-west-1:210987654321:orders:0f2c6d1e",
            Some("sns"),
        );
        check("arn:aws:iam::210987654321:role/worker", Some("iam:role"));
        check(
            "arn:aws:apigateway:eu-west-1::/restapis/a1b2",
            Some("apigateway"),
        );
        check(
            "/subscriptions/0f2c/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a/blobServices/default",
            Some("microsoft.storage/storageaccounts"),
        );
        check(
            "/subscriptions/0f2c/providers/Microsoft.Compute/virtualMachines/vm/providers/Microsoft.Authorization/roleAssignments/9",
            Some("microsoft.authorization/roleassignments"),
        );
        check("/subscriptions/0f2c/resourceGroups/rg", None);
        check("0f2c6d1e-4c1e-4a7b-9d52-8e3f6a0b0051", None);
        check("arn:aws", None);
    }
}
