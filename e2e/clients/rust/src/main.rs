//! Everyday work with the Rust SDK: single calls, a multipart upload by hand (it has no managed one), lists and deletes.
//!
//! Usage: partway-e2e-rust BUCKET PREFIX FILE, with the endpoint and the keys in AWS_*. FILE has 11 MiB or more. Leaves
//! PREFIX/whole, PREFIX/small and PREFIX/by-hand for the caller to compare.

use aws_config::BehaviorVersion;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use aws_sdk_s3::Client;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (bucket, prefix, path) = (&args[1], &args[2], &args[3]);
    let content = std::fs::read(path)?;
    let small = &content[..1000];
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let s3 = Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    let key = |name: &str| format!("{prefix}{name}");

    s3.put_object().bucket(bucket).key(key("whole")).metadata("made-by", "rust").body(ByteStream::from_path(path).await?).send().await?;
    assert!(get(&s3, bucket, &key("whole")).await? == content, "whole: other bytes");
    let head = s3.head_object().bucket(bucket).key(key("whole")).send().await?;
    assert_eq!(head.metadata().and_then(|m| m.get("made-by")).map(String::as_str), Some("rust"));
    assert_eq!(head.content_encoding(), None);

    s3.put_object().bucket(bucket).key(key("small")).body(small.to_vec().into()).send().await?;
    assert!(get(&s3, bucket, &key("small")).await? == small, "small: other bytes");
    s3.copy_object().bucket(bucket).key(key("copy")).copy_source(format!("{bucket}/{}", key("small"))).send().await?;
    assert!(get(&s3, bucket, &key("copy")).await? == small, "copy: other bytes");

    let upload = s3.create_multipart_upload().bucket(bucket).key(key("by-hand")).checksum_algorithm(ChecksumAlgorithm::Crc32).send().await?;
    let id = upload.upload_id().ok_or("no upload id")?;
    let mut parts = Vec::new();
    for (number, body) in (1..).zip([&content[..5 << 20], &content[5 << 20..]]) {
        let part = s3.upload_part().bucket(bucket).key(key("by-hand")).upload_id(id).part_number(number).body(body.to_vec().into()).send().await?;
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).set_checksum_crc32(part.checksum_crc32).build());
    }
    let listed = s3.list_parts().bucket(bucket).key(key("by-hand")).upload_id(id).send().await?;
    assert_eq!(listed.parts().len(), 2);
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    s3.complete_multipart_upload().bucket(bucket).key(key("by-hand")).upload_id(id).multipart_upload(parts).send().await?;
    assert!(get(&s3, bucket, &key("by-hand")).await? == content, "by-hand: other bytes");

    let mut pages = s3.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().page_size(2).send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page?.contents().iter().filter_map(|o| o.key()).map(|k| k[prefix.len()..].to_string()));
    }
    assert_eq!(keys, ["by-hand", "copy", "small", "whole"]);
    let copy = ObjectIdentifier::builder().key(key("copy")).build()?;
    s3.delete_objects().bucket(bucket).delete(Delete::builder().objects(copy).build()?).send().await?;
    let gone = s3.get_object().bucket(bucket).key(key("copy")).send().await.expect_err("read a deleted object");
    assert!(gone.into_service_error().is_no_such_key());
    println!("{}", aws_sdk_s3::meta::PKG_VERSION);
    Ok(())
}

async fn get(s3: &Client, bucket: &str, key: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(s3.get_object().bucket(bucket).key(key).send().await?.body.collect().await?.to_vec())
}
