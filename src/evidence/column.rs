//! The few column types that evidence uses: how each becomes Arrow, and how each is written canonically.
//!
//! There are no maps, unsigned numbers, floats, dictionaries or naive timestamps: every reader of Delta's first
//! protocol version must be able to open the tables.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Int32Builder, Int64Builder,
    ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::model::{Canon, Day, Micros, Sha256Digest};

/// One type of value: its Arrow type, its builder, its canonical bytes.
pub trait Kind {
    type Value<'a>;
    type Builder: Default + fmt::Debug;

    fn data_type() -> DataType;
    fn append(builder: &mut Self::Builder, value: Option<&Self::Value<'_>>);
    fn canon(canon: &mut Canon, value: &Self::Value<'_>);
    fn finish(builder: &mut Self::Builder) -> ArrayRef;
}

/// A column: a kind that every row has, or that a row may lack.
pub trait Column {
    type Value<'a>;
    type Builder: Default + fmt::Debug;
    const NULLABLE: bool;

    fn data_type() -> DataType;
    fn append(builder: &mut Self::Builder, value: &Self::Value<'_>, canon: &mut Canon);
    fn finish(builder: &mut Self::Builder) -> ArrayRef;
}

/// A column with a value in every row.
#[derive(Debug)]
pub struct Required<K>(PhantomData<K>);

/// A column that rows may leave empty.
#[derive(Debug)]
pub struct Optional<K>(PhantomData<K>);

impl<K: Kind> Column for Required<K> {
    type Value<'a> = K::Value<'a>;
    type Builder = K::Builder;
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        K::data_type()
    }

    fn append(builder: &mut Self::Builder, value: &Self::Value<'_>, canon: &mut Canon) {
        K::canon(canon, value);
        K::append(builder, Some(value));
    }

    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        K::finish(builder)
    }
}

impl<K: Kind> Column for Optional<K> {
    type Value<'a> = Option<K::Value<'a>>;
    type Builder = K::Builder;
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        K::data_type()
    }

    fn append(builder: &mut Self::Builder, value: &Self::Value<'_>, canon: &mut Canon) {
        match value {
            Some(value) => K::canon(canon, value),
            None => canon.absent(),
        }
        K::append(builder, value.as_ref());
    }

    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        K::finish(builder)
    }
}

macro_rules! kind {
    ($(#[$meta:meta])* $name:ident, $value:ty, $builder:ty, $data_type:expr, $plain:expr, $canon:expr, $finish:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name;

        impl Kind for $name {
            type Value<'a> = $value;
            type Builder = $builder;

            fn data_type() -> DataType {
                $data_type
            }

            fn append(builder: &mut Self::Builder, value: Option<&Self::Value<'_>>) {
                builder.append_option(value.map($plain));
            }

            fn canon(canon: &mut Canon, value: &Self::Value<'_>) {
                $canon(canon, value);
            }

            fn finish(builder: &mut Self::Builder) -> ArrayRef {
                $finish(builder)
            }
        }
    };
}

kind!(
    /// UTF-8 text.
    Text,
    &'a str,
    StringBuilder,
    DataType::Utf8,
    |value| *value,
    |canon: &mut Canon, value: &&str| canon.text(value.as_bytes()),
    |builder: &mut StringBuilder| Arc::new(builder.finish()) as ArrayRef
);
kind!(
    /// A moment: microseconds in UTC.
    Time,
    Micros,
    TimestampMicrosecondBuilder,
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
    |value| value.0,
    |canon: &mut Canon, value: &Micros| canon.integer(value.0),
    |builder: &mut TimestampMicrosecondBuilder| {
        Arc::new(builder.finish().with_timezone("UTC")) as ArrayRef
    }
);
kind!(
    /// A UTC day.
    Date,
    Day,
    Date32Builder,
    DataType::Date32,
    |value| value.0,
    |canon: &mut Canon, value: &Day| canon.integer(i64::from(value.0)),
    |builder: &mut Date32Builder| Arc::new(builder.finish()) as ArrayRef
);
kind!(
    /// A 64-bit integer.
    Long,
    i64,
    Int64Builder,
    DataType::Int64,
    |value| *value,
    |canon: &mut Canon, value: &i64| canon.integer(*value),
    |builder: &mut Int64Builder| Arc::new(builder.finish()) as ArrayRef
);
kind!(
    /// A 32-bit integer.
    Int,
    i32,
    Int32Builder,
    DataType::Int32,
    |value| *value,
    |canon: &mut Canon, value: &i32| canon.integer(i64::from(*value)),
    |builder: &mut Int32Builder| Arc::new(builder.finish()) as ArrayRef
);
kind!(
    /// A truth value.
    Truth,
    bool,
    BooleanBuilder,
    DataType::Boolean,
    |value| *value,
    |canon: &mut Canon, value: &bool| canon.integer(i64::from(*value)),
    |builder: &mut BooleanBuilder| Arc::new(builder.finish()) as ArrayRef
);
kind!(
    /// A SHA-256 value.
    Hash,
    Sha256Digest,
    BinaryBuilder,
    DataType::Binary,
    |value| &value[..],
    |canon: &mut Canon, value: &Sha256Digest| canon.text(value),
    |builder: &mut BinaryBuilder| Arc::new(builder.finish()) as ArrayRef
);

/// A list of texts; empty rather than absent.
#[derive(Debug)]
pub struct TextList;

impl Kind for TextList {
    type Value<'a> = Vec<&'a str>;
    type Builder = ListBuilder<StringBuilder>;

    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
    }

    fn append(builder: &mut Self::Builder, value: Option<&Self::Value<'_>>) {
        let present = value.is_some();
        for text in value.into_iter().flatten() {
            builder.values().append_value(text);
        }
        builder.append(present);
    }

    fn canon(canon: &mut Canon, value: &Self::Value<'_>) {
        canon.list(value.iter().map(|text| text.as_bytes()));
    }

    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        Arc::new(builder.finish())
    }
}
