#!/usr/bin/env bash
# Uploads with aws-cli and Partway's plugin. The usage is shim.py's, behind the program itself: aws.sh AWS WORK BUCKET KEYS FILE, with WORK one of
# managed and put.
set -euo pipefail
aws=$1 work=$2 bucket=$3 keys=$4 file=$5
export AWS_PAGER=
end=(--endpoint-url "$AWS_ENDPOINT_URL_S3") # which older ones do not read
for key in ${keys//,/ }; do
  about=(--content-type text/x-test --metadata made-by=shim --cache-control max-age=7)
  if [ "$work" = managed ]; then
    done=$("$aws" "${end[@]}" s3 cp --only-show-errors "${about[@]}" "$file" "s3://$bucket/$key" 2>&1) &&
      done=$("$aws" "${end[@]}" s3api head-object --bucket "$bucket" --key "$key" --query ETag 2>&1) && ok=1 || ok=
  else
    done=$("$aws" "${end[@]}" s3api put-object "${about[@]}" --bucket "$bucket" --key "$key" --body "$file" --query ETag 2>"$file.err") && ok=1 || ok=
    [ -n "$ok" ] || done=$(cat "$file.err")
    cat "$file.err" >&2
  fi
  if [ -n "$ok" ]; then
    printf '{"key":"%s","etag":%s}\n' "$key" "$done"
  else
    printf '{"key":"%s","error":"%s"}\n' "$key" "$(tr -d '\n"\\' <<<"$done")"
  fi
done
