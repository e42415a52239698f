fn spawn<F: Future + Send + 'static>(_: F) {}

async fn work() {}

fn main() {
    spawn(async {
        let _guard = spanlite::span("held").start();
        work().await;
    });
}
