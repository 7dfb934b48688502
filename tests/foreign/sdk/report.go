// Makes the requests in recorded/go-*.http. No test runs it: the SDK's module has 250 MB, and takes minutes to compile.
//
// go mod init report && go get github.com/huaweicloud/huaweicloud-sdk-go-v3@v0.1.207 && go build -o report .
//
// Uses the official Go SDK: `program EDGE VIEW AK SK PROJECT TASK`. It reports the progress of the task to the edge,
// shows the task and lists all tasks of the view, and prints one line for each: its result, or the refusal's status.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	sms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/sms/v3"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/sms/v3/model"
)

func status(err error) any {
	var refused *sdkerr.ServiceResponseError
	if errors.As(err, &refused) {
		return refused.StatusCode
	}
	return err
}

func main() {
	credentials := basic.NewCredentialsBuilder().WithAk(os.Args[3]).WithSk(os.Args[4]).WithProjectId(os.Args[5]).Build()
	client := func(url string) *sms.SmsClient {
		return sms.NewSmsClient(sms.SmsClientBuilder().WithEndpoints([]string{url}).WithCredential(credentials).Build())
	}
	edge, view, task := client(os.Args[1]), client(os.Args[2]), os.Args[6]

	body := &model.UpdateTaskSpeedReq{
		SubtaskName: model.GetUpdateTaskSpeedReqSubtaskNameEnum().SYNC_LINUX_FILE,
		Progress:    10, Replicatesize: 1, Totalsize: 2, ProcessTrace: "é",
	}
	if reported, err := edge.UpdateTaskSpeed(&model.UpdateTaskSpeedRequest{TaskId: task, Body: body}); err != nil {
		fmt.Println(status(err))
	} else {
		fmt.Println(reported.HttpStatusCode)
	}
	if shown, err := view.ShowTask(&model.ShowTaskRequest{TaskId: task}); err != nil {
		fmt.Println(status(err))
	} else {
		fmt.Println(*shown.Id)
	}
	limit := int32(7)
	if listed, err := view.ListTasks(&model.ListTasksRequest{Limit: &limit}); err != nil {
		fmt.Println(status(err))
	} else {
		fmt.Println(*listed.Count)
	}
}
