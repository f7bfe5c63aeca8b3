package Torture::Tormentor;

# Copyright (C) the nginx gray module authors
#
# What happens to an nginx: workers are killed and halted all the time, and
# every few seconds there is a reload, an upgrade, or the master is killed and
# nginx started again, as an init system would.
#
#     my $tormentor = Torture::Tormentor->new(t => $t, what => { ... });
#
#     $tormentor->start;
#     $tormentor->run($seconds);
#
# "what" has a true value for each of worker, stop, reload, resize, master,
# upgrade that is to be.  Afterwards "events" has what happened: [ what, from,
# to ], "zones" the time at which each zone was asked for, "count" how often
# what was done, and "problems" what nginx did not do.

use strict;
use warnings;

use Test::Gray::Process;
use Torture::Nginx;
use Torture::Record;


# seconds between what happens, on average

my %every = (worker => 0.5, stop => 3, big => 2);

# how long a worker is halted, and what each may take that is asked for

my $halted = 1.5;
my $patience = 20;


sub new {
    my ($class, %option) = @_;

    return bless {
        masters  => [],     # those that were not told to end; the last one
                            # is the one of nginx.pid
        halted   => {},
        quitting => {},
        events   => [],
        zones    => {},
        count    => {},
        problems => [],
        next     => {},
        %option
    }, $class;
}


sub run {
    my ($self, $seconds) = @_;

    my $end = now() + $seconds;
    my @big = grep { $self->{what}{ $_->[0] } } (
        [ reload  => 4, sub { $self->reload } ],
        [ resize  => 1, sub { $self->resize } ],
        [ master  => 4, sub { $self->kill_master } ],
        [ upgrade => 3, sub { $self->upgrade } ],
    );

    while (now() < $end && !$self->{failed}) {
        $self->wait(rand 2 * $every{big});
        last unless @big;

        my $dice = rand sum(map { $_->[1] } @big);

        for (@big) {
            $dice -= $_->[1];
            next if $dice >= 0;

            $_->[2]->();
            last;
        }
    }

    $self->wait($end - now()) if !@big && !$self->{failed};

    # nothing stays halted

    $self->go_on($_) for keys %{ $self->{halted} };

    return;
}


# lets seconds pass, or waits until the code returns something true, while
# workers are killed and halted

sub wait {
    my ($self, $seconds, $code) = @_;

    my $end = now() + $seconds;

    while (1) {
        $self->small;

        my $result = $code && $code->();

        return $result if $result;
        return 0 if now() >= $end;

        select undef, undef, undef, 0.005;
    }
}


sub small {
    my ($self) = @_;

    my $now = now();

    for my $pid (keys %{ $self->{halted} }) {
        $self->go_on($pid) if $now > $self->{halted}{$pid};
    }

    for my $what (qw(worker stop)) {
        next unless $self->{what}{$what};

        my $next = $self->{next}{$what} ||= $now + rand 2 * $every{$what};

        next if $now < $next;

        $self->{next}{$what} = $now + rand 2 * $every{$what};

        my @workers = grep { !$self->{halted}{$_} || $what eq 'worker' }
                      $self->{t}->found_workers;

        next unless @workers;

        my $pid = $workers[rand @workers];

        if ($what eq 'worker') {
            $self->kill_one($pid);
            $self->{count}{'workers killed'}++;

        } elsif (kill 'STOP', $pid) {
            $self->{halted}{$pid} = $now + rand $halted;
            $self->{count}{'workers halted'}++;
            $self->note("worker $pid is halted");
        }
    }

    $self->look($now) if $now > ($self->{looked} || 0) + 1;

    return;
}


sub go_on {
    my ($self, $pid) = @_;

    delete $self->{halted}{$pid};
    kill 'CONT', $pid if command_line($pid) =~ /^nginx: /;

    return;
}


sub kill_one {
    my ($self, $pid) = @_;

    my $from = now();

    kill 'KILL', $pid;
    delete $self->{halted}{$pid};
    $self->event('kill', $from, now(), "worker $pid");

    return;
}


# workers that were told to end and do not

sub look {
    my ($self, $now) = @_;

    $self->{looked} = $now;

    my $quitting = $self->{quitting};
    my %there = map { $_ => 1 }
                $self->{t}->found(qr/worker process is shutting down/);

    delete $quitting->{$_} for grep { !$there{$_} } keys %$quitting;

    for my $pid (keys %there) {
        # what is halted cannot

        $quitting->{$pid} = $now
            if !$quitting->{$pid} || $self->{halted}{$pid};

        if ($now - $quitting->{$pid} > $patience) {
            $self->problem("worker $pid does not end");
            $self->kill_one($pid);
        }
    }

    return;
}


# -- what is rarer

# a zone, that is there from now on

sub zone {
    my ($self) = @_;

    my $zone = ++$self->{t}{zone};

    $self->{zones}{$zone} = now();

    return $zone;
}


sub current { return $_[0]{masters}[-1] }


# that many workers of a master have begun, behind a mark of the log

sub begun {
    my ($self, $mark, $pid) = @_;

    my $log = $self->{t}{log};

    return $Torture::Nginx::workers
           <= grep { $_->{pid} == $pid
                     && $_->{text} =~ /^start worker process \d/ }
              $log->events($mark);
}


# as an init system does, until nginx is there

sub start {
    my ($self) = @_;

    my $t = $self->{t};

    for (1 .. 5) {
        my $zone = $self->zone;

        $t->configure($zone);
        return if $self->launch($zone);
    }

    $self->problem('nginx does not start');
    $self->{failed} = 1;

    return;
}


# $meanwhile: what is done while it is on the way

sub launch {
    my ($self, $zone, $meanwhile) = @_;

    my $t = $self->{t};
    my $mark = $t->{log}->mark;
    my $launched = $t->launch;
    my $status;

    $meanwhile->() if $meanwhile;

    $self->wait($patience, sub {
        $status = $t->launched($launched);
        return defined $status;
    });

    if (!defined $status || $status != 0) {
        $self->note('nginx could not start: '
                    . tail($t->read_file("stderr.$launched"), 1));
        return 0;
    }

    # what was started may be no more when this looks

    my $pid;

    $self->wait($patience, sub {
        ($pid) = $t->read_file('nginx.pid') =~ /(\d+)/;
        return $pid && $self->begun($mark, $pid);
    })
    or do {
        $self->problem('nginx has not started its workers');
        return 0;
    };

    $self->{masters} = [ { pid => $pid, zone => $zone } ];
    $t->set_master($pid);
    $self->note("master $pid of zone $zone has started");

    return 1;
}


sub reload {
    my ($self, $master, $zone) = @_;

    my $t = $self->{t};

    $master ||= $self->current;

    my $from = now();
    my $mark = $t->{log}->mark;
    my $conf = $t->configure($zone || $master->{zone});

    kill 'HUP', $master->{pid};

    $self->{count}{reloads}++;
    $self->note("reload of $master->{pid}, nginx.conf $conf");

    # now and then it is killed meanwhile

    if (!$zone && @{ $self->{masters} } == 1 && $self->{what}{master}
        && rand 6 < 1)
    {
        $self->wait(rand 0.06);
        $self->event('quit', $from, now() + 1, 'reload');

        return $self->kill_master;
    }

    my $refused;

    $self->wait($patience, sub {
        $refused = $t->{log}->refusal($mark, $master->{pid});

        return defined $refused || $self->begun($mark, $master->{pid});
    })
    or $self->problem("$master->{pid} has not reloaded");

    $self->problem("reload was refused: $refused") if defined $refused;

    # connections that are kept are closed when their worker ends

    $self->event('quit', $from, now() + 2, 'reload');

    return;
}


sub resize {
    my ($self) = @_;

    my $master = $self->current;

    $self->{t}{pages}++;
    $self->{count}{'other sizes'}++;
    $self->{count}{reloads}--;
    $master->{zone} = $self->zone;
    $self->reload($master, $master->{zone});

    return;
}


# systemd kills what is left of the group (KillMode=mixed), or tells it to
# end (control-group); others know the master only, and what is left of it
# has the port until somebody ends it

sub kill_master {
    my ($self) = @_;

    my $t = $self->{t};
    my $master = pop @{ $self->{masters} };
    my $way = rand 10;
    my $from = now();

    kill 'KILL', $master->{pid};

    $self->{count}{'masters killed'}++;

    if ($way < 4) {
        $self->note("master $master->{pid} and its group are killed");
        $self->kill_all;
        $self->start;

    } elsif ($way < 6) {
        $self->note("master $master->{pid} is killed, its workers get TERM");
        $self->go_on($_) for keys %{ $self->{halted} };

        # a worker that has just been forked is called a master yet

        kill 'TERM', $t->found_workers, $t->found_masters;

        $self->wait(5, sub { !$t->found_workers });
        $self->kill_all;
        $self->start;

    } else {
        $self->note("master $master->{pid} is killed, its workers stay");

        my @left = $t->found_workers;
        my $gone = sub {
            $from = now() if grep { alive($_) } @left;
            return $from < now() - 0.1;
        };

        $self->wait(rand 1, $gone);

        my $zone = $self->zone;

        $t->configure($zone);

        # nginx tries to have the port for two and a half seconds

        $self->launch($zone, sub {
            $self->wait(rand 2.2, $gone);
            $self->kill_one($_)
                for grep { command_line($_) =~ /^nginx: worker/ } @left;
        })
        or do {
            $self->kill_all;
            $self->start;
        };
    }

    $self->event('down', $from, now(), 'master');

    return;
}


sub kill_all {
    my ($self) = @_;

    my $t = $self->{t};

    wait_until(sub {
        my @left = ($t->found_masters, $t->found_workers);

        kill 'KILL', @left;
        return !@left;
    });

    $self->{halted} = {};
    $self->{masters} = [];

    return;
}


# USR2; then the old master goes, or the new one

sub upgrade {
    my ($self) = @_;

    my $t = $self->{t};
    my $old = $self->current;
    my $mark = $t->{log}->mark;
    my $zone = $self->zone;
    my $from = now();

    $t->configure($zone);
    kill 'USR2', $old->{pid};

    $self->{count}{upgrades}++;
    $self->note("upgrade of $old->{pid}, to zone $zone");

    my $new = { zone => $zone };

    if (rand 8 < 1) {
        # it comes to an end on the way

        $self->wait(rand 0.1);
        ($new->{pid}) = grep { command_line($_) !~ /^nginx: worker/ }
                        children_of($old->{pid});

        if ($new->{pid}) {
            push @{ $self->{masters} }, $new;
            $self->note("the new master $new->{pid} is killed at once");
            return $self->kill_tree($new, $old);
        }
    }

    $self->wait($patience, sub {
        ($new->{pid}) = $t->read_file('nginx.pid') =~ /(\d+)/;

        return $new->{pid} && $new->{pid} != $old->{pid}
               && $self->begun($mark, $new->{pid});
    })
    or do {
        $self->problem("$old->{pid} was not upgraded");
        return;
    };

    push @{ $self->{masters} }, $new;
    $t->set_master($new->{pid});

    # both serve

    $self->wait(rand 3);

    if (rand 3 < 1 && $self->{what}{reload}) {
        $self->reload($self->{masters}[rand 2]);
        $self->wait(rand 2);
    }

    my $way = rand 10;

    if ($way < 6) {
        $self->note("the old master $old->{pid} is told to end");
        $self->end($old, $new);

    } elsif ($way < 7.5) {
        $self->note("the new master $new->{pid} is told to end");
        $self->end($new, $old);

    } elsif ($way < 9) {
        $self->note("the new master $new->{pid} is killed");
        $self->kill_tree($new, $old);

    } else {
        $self->note("the old master $old->{pid} is killed");
        $self->kill_tree($old, $new);
    }

    $self->event('quit', $from, now() + 2, 'upgrade');

    return;
}


# one master ends, the other one goes on

sub end {
    my ($self, $ends, $stays) = @_;

    kill 'QUIT', $ends->{pid};

    $self->wait($patience, sub { !alive($ends->{pid}) })
    or do {
        $self->problem("master $ends->{pid} has not ended");
        kill 'KILL', $ends->{pid};
    };

    $self->stay($stays);

    return;
}


sub kill_tree {
    my ($self, $ends, $stays) = @_;

    my @workers = grep { command_line($_) =~ /^nginx: worker/ }
                  children_of($ends->{pid});
    my $from = now();

    kill 'KILL', $ends->{pid};

    $self->{count}{'masters killed'}++;

    # at once, or as orphans that serve for a while

    $self->wait(rand 1) if rand 2 < 1;
    $self->kill_one($_)
        for grep { command_line($_) =~ /^nginx: worker/ } @workers;
    $self->event('kill', $from, now(), 'master');

    wait_until(sub { !alive($ends->{pid}) });
    $self->stay($stays);

    return;
}


sub stay {
    my ($self, $master) = @_;

    my $t = $self->{t};

    $self->{masters} = [ $master ];
    $t->set_master($master->{pid});

    # an old master that goes on takes its file back

    $self->wait($patience, sub {
        return $t->read_file('nginx.pid') =~ /^$master->{pid}$/m
               && alive($master->{pid});
    })
    or do {
        $self->problem("nginx.pid does not name $master->{pid}");
        $self->kill_all;
        $self->start;
    };

    return;
}


# -- what is told

sub event {
    my ($self, $kind, $from, $to, $what) = @_;

    push @{ $self->{events} }, [ $kind, $from, $to ];
    $self->note("$kind: $what");

    return;
}


sub problem {
    my ($self, $text) = @_;

    push @{ $self->{problems} }, sprintf 'at %.6f: %s', now(), $text;
    $self->note("problem: $text");

    return;
}


sub note {
    my ($self, $text) = @_;

    chomp $text;
    push @{ $self->{notes} }, sprintf '%.6f %s', now(), $text;
    print "$self->{notes}[-1]\n" if $self->{verbose};

    return;
}


sub sum {
    my $sum = 0;

    $sum += $_ for @_;
    return $sum;
}


1;
