/* Stands in for programs that are not ours: says that it has started, waits to be told to stop, says so, and ends.
   Pods' sandboxes need such a one, and so does the place of the Aidp worker. */
#include <signal.h>
#include <stdio.h>

int main(void) {
    sigset_t stop;
    int signal;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    puts("started");
    fflush(stdout);
    sigwait(&stop, &signal);
    puts("stopped");
    return 0;
}
