import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.Durations;
import com.google.rpc.RetryInfo;
import dcgan.v1.GenerateRequest;
import dcgan.v1.GenerateResponse;
import dcgan.v1.GenerateStreamRequest;
import dcgan.v1.GenerateStreamResponse;
import dcgan.v1.GeneratorServiceGrpc;
import dcgan.v1.GeneratorServiceGrpc.GeneratorServiceBlockingStub;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;

/**
 * Prints what a server answers to Generate and GenerateStream, with the SHA-256 of the pixels.
 *
 * <p>Usage: java Generate TARGET SEED OFFSET N
 */
public final class Generate {
  public static void main(String[] args) throws Exception {
    if (args.length != 4) {
      System.err.println("usage: java Generate TARGET SEED OFFSET N");
      System.exit(2);
    }
    // A seed of 2^63 and above is a negative long of the same bits.
    long seed = Long.parseUnsignedLong(args[1]);
    long offset = Long.parseUnsignedLong(args[2]);
    int n = Integer.parseUnsignedInt(args[3]);

    ManagedChannel channel = ManagedChannelBuilder.forTarget(args[0]).usePlaintext().build();
    int exitCode = 0;
    try {
      System.out.println(generate(GeneratorServiceGrpc.newBlockingStub(channel), seed, offset, n));
    } catch (StatusRuntimeException error) {
      System.err.println(describe(error));
      exitCode = 1;
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
    System.exit(exitCode);
  }

  private static String generate(
      GeneratorServiceBlockingStub stub, long seed, long offset, int n)
      throws GeneralSecurityException {
    GenerateRequest request =
        GenerateRequest.newBuilder().setSeed(seed).setOffset(offset).setN(n).build();
    GenerateResponse reply = stub.withDeadlineAfter(30, TimeUnit.SECONDS).generate(request);
    if (reply.getSeed() != seed || reply.getOffset() != offset || reply.getN() != n) {
      throw new IllegalStateException("the reply is for another seed, offset or n");
    }
    MessageDigest unary = MessageDigest.getInstance("SHA-256");
    unary.update(reply.getPixels().asReadOnlyByteBuffer());

    GenerateStreamRequest streamRequest =
        GenerateStreamRequest.newBuilder().setSeed(seed).setOffset(offset).setN(n).build();
    Iterator<GenerateStreamResponse> chunks =
        stub.withDeadlineAfter(30, TimeUnit.SECONDS).generateStream(streamRequest);
    MessageDigest stream = MessageDigest.getInstance("SHA-256");
    while (chunks.hasNext()) {
      stream.update(chunks.next().getPixels().asReadOnlyByteBuffer());
    }

    return String.format(
        "{\"unary\": \"%s\", \"stream\": \"%s\", \"seed\": \"%s\", \"offset\": \"%s\","
            + " \"n\": %d, \"model\": \"%s\", \"digest\": \"%s\"}",
        hexadecimal(unary.digest()),
        hexadecimal(stream.digest()),
        Long.toUnsignedString(reply.getSeed()),
        Long.toUnsignedString(reply.getOffset()),
        reply.getN(),
        reply.getProvenance().getModel(),
        reply.getProvenance().getDigest());
  }

  /** Returns the message of an error and when to try again. */
  private static String describe(StatusRuntimeException error)
      throws InvalidProtocolBufferException {
    StringBuilder text = new StringBuilder(error.getMessage());
    for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
      if (detail.is(RetryInfo.class)) {
        Duration delay = detail.unpack(RetryInfo.class).getRetryDelay();
        text.append("; try again in ").append(Durations.toMillis(delay)).append(" ms");
      }
    }
    return text.toString();
  }

  private static String hexadecimal(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte value : bytes) {
      text.append(String.format("%02x", value));
    }
    return text.toString();
  }
}
