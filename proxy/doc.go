// Package proxy is the S3 surface of the gateway.
package proxy
