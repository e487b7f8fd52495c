module partway/clients/go

go 1.24

require (
	github.com/aws/aws-sdk-go-v2 v1.45.1
	github.com/aws/smithy-go v1.28.1
)
