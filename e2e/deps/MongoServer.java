import de.bwaldvogel.mongo.backend.h2.H2Backend;

/** mongo-java-server on a port of 127.0.0.1 and a file, which outlives it: MongoServer PORT FILE. */
public class MongoServer {
    public static void main(String[] args) throws Exception {
        var server = new de.bwaldvogel.mongo.MongoServer(new H2Backend(args[1]));
        // SIGTERM: what was written reaches the file, and the exit status is 0 and not the JVM's 143.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.shutdownNow();
            Runtime.getRuntime().halt(0);
        }));
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        Thread.currentThread().join();
    }
}
