//! Functions of PostgreSQL that clients call before they ask anything, and that the catalog's library does not have.

use std::sync::Arc;

use arrow::array::{AsArray, Int32Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use pgwire::api::Type;

use super::VERSION;

/// Types that answers have.
const TYPES: [Type; 14] = [
    Type::BOOL,
    Type::BYTEA,
    Type::DATE,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::INTERVAL,
    Type::NUMERIC,
    Type::TEXT,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::VARCHAR,
];

pub(super) fn functions() -> [ScalarUDF; 2] {
    [version(), to_regtype()]
}

/// `version()`: clients read from it what they may say (PostgreSQL's documentation, 9.27, "System Information Functions").
fn version() -> ScalarUDF {
    let text = format!(
        "PostgreSQL {VERSION} (Keytrail {})",
        env!("CARGO_PKG_VERSION")
    );
    let answer = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(text.as_str().into()));
    create_udf(
        "version",
        Vec::new(),
        DataType::Utf8,
        Volatility::Stable,
        Arc::new(answer),
    )
}

/// `to_regtype(text)`: the id of a type by its name, and nothing for a type that there is not, like those of extensions.
fn to_regtype() -> ScalarUDF {
    let answer = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let known = |name| TYPES.iter().find(|known| known.name() == name);
        let names = arrays[0].as_string::<i32>().iter();
        let found: Int32Array = names
            .map(|name| i32::try_from(known(name?)?.oid()).ok())
            .collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    };
    create_udf(
        "to_regtype",
        vec![DataType::Utf8],
        DataType::Int32,
        Volatility::Stable,
        Arc::new(answer),
    )
}
