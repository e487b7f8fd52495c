import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.util.List;
import org.h2.mvstore.MVStore;

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
        // Every query reads the whole collection. With H2's own 16 MiB of cache, 30,000 documents would come from the file each time, in seconds.
        var store = new MVStore.Builder().fileName(args[1]).cacheSize(256).open();
        var server = new de.bwaldvogel.mongo.MongoServer(new H2Backend(store).version(new Version()));
        // SIGTERM: what was written reaches the file, and the exit status is 0 and not the JVM's 143.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.shutdownNow();
            Runtime.getRuntime().halt(0);
        }));
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        Thread.currentThread().join();
    }
}
