// Uses the official Java SDK: `java -cp 'JARS/*' Report.java EDGE VIEW AK SK DOMAIN TASK...`. For each task it reports
// progress to the edge and shows the task of the view; at last it lists tasks. It prints one line for each call: its
// result, or the refusal's status.
import com.huaweicloud.sdk.core.auth.GlobalCredentials;
import com.huaweicloud.sdk.core.exception.ServiceResponseException;
import com.huaweicloud.sdk.sms.v3.SmsClient;
import com.huaweicloud.sdk.sms.v3.model.ListTasksRequest;
import com.huaweicloud.sdk.sms.v3.model.ShowTaskRequest;
import com.huaweicloud.sdk.sms.v3.model.UpdateTaskSpeedReq;
import com.huaweicloud.sdk.sms.v3.model.UpdateTaskSpeedRequest;
import java.util.List;
import java.util.function.Supplier;

public class Report {
    public static void main(String[] words) {
        GlobalCredentials credentials =
            new GlobalCredentials().withAk(words[2]).withSk(words[3]).withDomainId(words[4]);
        SmsClient edge = client(words[0], credentials);
        SmsClient view = client(words[1], credentials);
        UpdateTaskSpeedReq body = new UpdateTaskSpeedReq()
            .withSubtaskName(UpdateTaskSpeedReq.SubtaskNameEnum.SYNC_LINUX_FILE)
            .withProgress(10).withReplicatesize(1L).withTotalsize(2L).withProcessTrace("é");
        for (String task : List.of(words).subList(5, words.length)) {
            UpdateTaskSpeedRequest report = new UpdateTaskSpeedRequest().withTaskId(task).withBody(body);
            print(() -> edge.updateTaskSpeed(report).getHttpStatusCode());
            print(() -> view.showTask(new ShowTaskRequest().withTaskId(task)).getId());
        }
        print(() -> view.listTasks(new ListTasksRequest().withLimit(7).withName("t-")).getCount());
        System.exit(0);
    }

    private static SmsClient client(String url, GlobalCredentials credentials) {
        return SmsClient.newBuilder().withCredential(credentials).withEndpoints(List.of(url)).build();
    }

    private static void print(Supplier<Object> call) {
        try {
            System.out.println(call.get());
        } catch (ServiceResponseException refused) {
            System.out.println(refused.getHttpStatusCode());
        }
    }
}
