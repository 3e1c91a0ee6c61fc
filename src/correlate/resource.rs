//! What sort of thing a resource is, read from its id alone.

/// The class of the resource `id`: `s3:object`, `lambda:function`, `microsoft.storage/storageaccounts`. None where the id does
/// not tell. Nothing of it is a name that somebody chose.
///
/// ARNs are `arn:partition:service:region:account:resource`, and a resource is `id`, `type/id` or `type:id` (AWS IAM user guide,
/// "Identify AWS resources with ARNs"); S3's have neither region nor account and begin with a bucket's name. Azure's ids name
/// a provider and its types and names in turn (Azure Resource Manager, "Resource ID").
pub fn resource_class(id: &str) -> Option<String> {
    match id.strip_prefix("arn:") {
        Some(arn) => of_arn(arn),
        None => of_azure(id),
    }
}

fn of_arn(arn: &str) -> Option<String> {
    let mut parts = arn.splitn(5, ':');
    let (_, service) = (parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    if service == "s3" {
        let own = !region.is_empty() || !account.is_empty();
        return Some(match resource {
            _ if own => "s3:accesspoint".to_owned(),
            _ if resource.contains('/') => "s3:object".to_owned(),
            _ => "s3:bucket".to_owned(),
        });
    }
    let kind = resource.split_once(['/', ':']).map(|(kind, _)| kind);
    let kind = kind.filter(|kind| {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        !kind.is_empty() && kind.bytes().all(word)
    });
    // Queues and topics have no type, and their names may hold slashes or colons no more than this.
    Some(kind.map_or_else(|| service.to_owned(), |kind| format!("{service}:{kind}")))
}

fn of_azure(id: &str) -> Option<String> {
    let parts = id.split('/').rev();
    let mut types = Vec::new();
    // Read backwards, so that an extension's provider counts and not that of what it extends.
    for part in parts {
        if part.eq_ignore_ascii_case("providers") {
            // Provider, then types at every second place.
            types.reverse();
            let (provider, rest) = types.split_first()?;
            let kind = rest.first()?;
            return Some(format!("{provider}/{kind}").to_ascii_lowercase());
        }
        types.push(part);
    }
    None
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
