import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.util.List;

/** mongo-java-server on a port of 127.0.0.1 and a file, which outlives it: MongoServer PORT FILE. */
public class MongoServer {
    /** What MongoDB 4.4 says of itself: less, and the Go driver would not talk to it. Its own three versions say wire version 8 at most. */
    static class Version implements MongoVersion {
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 0);
        }

        public int getWireVersion() {
            return 9;
        }
    }

    public static void main(String[] args) throws Exception {
        var server = new de.bwaldvogel.mongo.MongoServer(new H2Backend(args[1]).version(new Version()));
        // SIGTERM: what was written reaches the file, and the exit status is 0 and not the JVM's 143.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.shutdownNow();
            Runtime.getRuntime().halt(0);
        }));
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        Thread.currentThread().join();
    }
}
