import java.io.File;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** An HDFS of one name node and one data node on loopback ports, until the process is ended. */
public class Hdfs {
    /** Arguments: FOLDER, the name node's HTTP port, the data node's, and the user who owns /backups. */
    public static void main(String[] arguments) throws Exception {
        File folder = new File(arguments[0]);
        Configuration conf = new Configuration();
        conf.set("dfs.datanode.address", "127.0.0.1:0");
        conf.set("dfs.datanode.ipc.address", "127.0.0.1:0");
        conf.set("dfs.datanode.http.address", "127.0.0.1:" + arguments[2]);
        conf.set("dfs.blocksize", "16m");
        // One data node can't be replaced by another.
        conf.set("dfs.client.block.write.replace-datanode-on-failure.policy", "NEVER");
        conf.set("dfs.namenode.safemode.extension", "0");
        MiniDFSCluster cluster = new MiniDFSCluster.Builder(conf, folder)
            .nameNodeHttpPort(Integer.parseInt(arguments[1]))
            .checkDataNodeAddrConfig(true)
            .numDataNodes(1)
            .format(!folder.exists())
            .build();
        cluster.waitActive();
        // The tests take this directory for the sign that all is ready.
        FileSystem files = cluster.getFileSystem();
        files.mkdirs(new Path("/backups"));
        files.setOwner(new Path("/backups"), arguments[3], arguments[3]);
    }
}
