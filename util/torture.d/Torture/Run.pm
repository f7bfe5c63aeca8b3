package Torture::Run;

# Copyright (C) the nginx gray module authors
#
# What util/torture and util/soak have in common: an nginx with its backends,
# the load, clients and their records, and what is found in them.

use strict;
use warnings;

use Test::Gray;
use Test::Gray::Process;

use Torture::Checker;
use Torture::Client;
use Torture::Nginx;
use Torture::Record;
use Torture::Watcher;


# seed, journal (is there to be one?), history, reuseport, threads, follow,
# wrk, connections

sub new {
    my ($class, %option) = @_;

    my $self = bless { %option, writers => [], others => [], finals => [],
                       clients => 0 }, $class;

    # backends are in no trouble

    my $backends = Test::Gray->new(level => 'notice')->config(<<'END')->start;
http {
    keepalive_requests 1000000000;
    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

    $self->{t} = Torture::Nginx->new(
        backends => [ map { $backends->port($_) } qw(v1 v2) ],
        history => $option{journal} ? $option{history} : 0,
        map { $_ => $option{$_} } qw(reuseport threads));

    $self->know if $option{journal};

    return $self;
}


sub t { return $_[0]{t} }
sub journal { return $_[0]{journal} }
sub finals { return @{ $_[0]{finals} } }


# does this module know of a journal?

sub know {
    my ($self) = @_;

    my $t = $self->{t};

    $t->configure(0);

    my ($status, $said) = $t->test_config($t->{text});

    return if $status == 0;

    die $said unless $said =~ /invalid parameter "history=/;

    print "this module has no journal: --no-journal\n";

    $self->{journal} = 0;
    $t->{history} = 0;

    return;
}


# -- clients

# wrk, of users that differ, and one who writes down what he gets; more of
# these where there is no wrk

sub load {
    my ($self, $seconds) = @_;

    my $t = $self->{t};
    my $wrk = $self->{wrk};

    if ($wrk && (capture('wrk', '-v'))[1] !~ /^wrk /) {
        print "wrk is missing, there is less load\n";
        $wrk = 0;
    }

    push @{ $self->{others} },
         map { $self->client("site-$_", $wrk ? 0.01 : 0,
                             sub { $_[0]->visit }, keep => $_ % 2) }
         1 .. ($wrk ? 2 : 8);

    return unless $wrk;

    my $script = $t->write_file('wrk.lua', <<'END');
local n = 0
function request()
    n = n + 1
    return wrk.format("GET", "/?uid=" .. n % 100000)
end
END

    $self->{load} = $t->spawn('wrk', '-t1', "-c$self->{connections}",
                              "-d$seconds", '-s', $script,
                              'http://127.0.0.1:' . $t->port . '/');

    return;
}


# ends it; what it says is kept

sub end_load {
    my ($self) = @_;

    my $t = $self->{t};
    my $load = delete $self->{load} or return;
    my $alive = alive($load);

    kill 'INT', $load;
    wait_until(sub { $t->read_file("stderr.$load") =~ /^Transfer/m }, 10);
    $t->reap($load, 'INT');

    my $said = $t->read_file("stderr.$load");
    my ($requests) = $said =~ /^\s*(\d+) requests in/m;
    my ($errors) = $said =~ /^\s*(Socket errors: .*)/m;
    my ($failed) = $said =~ /Non-2xx or 3xx responses: (\d+)/;

    $self->problem('wrk has ended before') unless $alive;
    $self->problem("$failed answers to wrk were neither 2xx nor 3xx")
        if $failed;

    $self->{loaded} = ($requests || 0) . ' requests, '
                      . ($errors || 'no socket errors');

    return;
}


sub client {
    my ($self, $who, $pause, $code, %more) = @_;

    my $client = Torture::Client->new(
        t => $self->{t}, who => $who, pause => $pause,
        seed => $self->{seed} * 100 + ++$self->{clients}, %more);

    return $client->run($code);
}


sub writer {
    my ($self, $number, $pause) = @_;

    $self->{can} ||= { $self->abilities };
    $self->watch;

    push @{ $self->{writers} },
         $self->client("writer-$number", $pause,
                       sub { $_[0]->change(%{ $self->{can} }) });

    return;
}


# each of these workers makes so many changes, as fast as it goes

sub warm {
    my ($self, $name, $times, @pids) = @_;

    $self->{can} ||= { $self->abilities };
    $self->watch;

    my $number = 0;
    my @clients = map {
        $self->client("warm-$name." . ++$number, 0,
                      sub { $_[0]->change(%{ $self->{can} }) },
                      times => $times, pid => $_)
    } @pids;

    wait_until(sub { !grep { alive($_) } @clients }, 60 + $times);
    $self->end(@clients);

    return;
}


sub decider {
    my ($self, $who, $pause, $keep) = @_;

    push @{ $self->{others} },
         $self->client($who, $pause, sub { $_[0]->decide }, keep => $keep);

    return;
}


sub reader {
    my ($self, $who, $pause) = @_;

    push @{ $self->{others} },
         $self->client($who, $pause, sub { $_[0]->look_back });

    return;
}


sub watch {
    my ($self) = @_;

    return if !$self->{journal} || $self->{watcher};

    $self->{watcher} = Torture::Watcher->run($self->{t},
                                             $self->{t}->journal_file);
    return;
}


# what there is besides PUT, PATCH and DELETE

sub abilities {
    my ($self) = @_;

    my $revert = $self->{t}->get($Torture::Client::api . '/revert');

    return $revert->{status} == 405 ? (revert  => 1,
                                       comment => 'X-Gray-Comment') : ();
}


sub end_writers { $_[0]->end(splice @{ $_[0]{writers} }) }


sub end_others {
    my ($self) = @_;

    $self->end(splice @{ $self->{others} });
    $self->end_load;
    $self->end(delete $self->{watcher}) if $self->{watcher};

    return;
}


sub end {
    my ($self, @pids) = @_;

    kill 'USR1', @pids;

    for my $pid (@pids) {
        # a request may take its time yet

        wait_until(sub { !alive($pid) }, 15)
            or $self->problem("client $pid does not end");

        my $status = $self->{t}->reap($pid);

        $self->problem("client $pid has ended with status $status: "
                       . $self->{t}->read_file("stderr.$pid"))
            if $status != 0;
    }

    return;
}


# what each worker has

sub final {
    my ($self) = @_;

    my $client = Torture::Client->new(t => $self->{t}, who => 'final',
                                      keep => 0);
    my %seen;

    open $client->{file}, '>', '/dev/null' or die "/dev/null: $!\n";

    # some worker may get no connection for a while

    for (1 .. 100) {
        my $r = $client->ask('get', 'GET', $Torture::Client::api, []);

        $seen{ $r->{pid} || 0 } = $r;
        last if keys %seen >= $Torture::Nginx::workers;
    }

    push @{ $self->{finals} }, values %seen;

    return;
}


sub problem {
    my ($self, $text) = @_;

    push @{ $self->{problems} }, $text;

    return;
}


# -- what is found

# ends all, and returns the checker with the violations

sub check {
    my ($self, $tormentor) = @_;

    my $t = $self->{t};

    $t->stop;

    my $checker = $self->{checker} = Torture::Checker->new(
        follow => $self->{follow}, journal => $self->{journal});

    # what has begun is not lost because of what comes next

    my @files = glob $t->dir . '/records/*-*';

    $checker->violation('nginx', undef, $_)
        for @{ $self->{problems} || [] }, @{ $tormentor->{problems} },
            Test::Gray::problems(), glob $t->dir . '/state/*.bad*';

    my $zones = $tormentor->{zones};

    $checker->zone($_, $zones->{$_}) for keys %$zones;
    $checker->violence(@$_) for @{ $tormentor->{events} };
    $checker->declared($_, $t->declared($_)) for 1 .. $t->{conf};

    for my $file (@files) {
        open my $in, '<:raw', $file or die "$file: $!\n";

        while (my $line = <$in>) {
            my $record = record_of($line);

            $record ? $checker->add($record)
                    : $checker->violation('nginx', undef,
                                          "$file: not a record: $line");
        }
    }

    if ($self->{journal}) {
        Torture::Watcher->read($t, $checker);
        $checker->journal(slurp($t->journal_file));
    }

    $checker->final($_) for $self->finals;
    $checker->check;

    return $checker;
}


sub report {
    my ($self) = @_;

    my $t = $self->{t};
    my $checker = $self->{checker};
    my $by = $checker->{by_status} || {};
    my $made = grep { $_->{fate} eq 'made' } @{ $checker->{writes} };

    printf "%d zones, %d texts of nginx.conf\n", $t->{zone}, $t->{conf};

    printf "%d writes tried: %s\n", $checker->{tried} || 0,
           join ', ', map { "$by->{$_} $_" } sort keys %$by;

    print "    503: $checker->{why}{$_} $_\n"
        for sort keys %{ $checker->{why} || {} };

    printf "%d acknowledged, the last revision is %d; %d that were not were "
           . "made\n", $made, $checker->{last} || 0,
           $checker->{explained} || 0;

    printf "%d documents, %d of the history, %d decisions and %d pages "
           . "checked, %d requests without an answer\n",
           (map { $_ || 0 }
                @{ $checker->{count} }{qw(get history decision site)}),
           scalar @{ $checker->{broken} || [] };

    printf "%d saw less than other zones had, by %.3f s at most\n",
           $checker->{stale} || 0, $checker->{lag} || 0;

    if ($self->{journal}) {
        printf "%d lines of the journal were seen, %d bytes are there\n",
               scalar keys %{ $checker->{lines} }, -s $t->journal_file || 0;
    }

    print "wrk: $self->{loaded}\n" if $self->{loaded};

    my %what;

    $what{ $_->{what} }++ for $checker->violations;

    printf "%d violations%s, --seed=%d\n", scalar $checker->violations,
           %what ? ' (' . join(', ', map { "$_: $what{$_}" } sort keys %what)
                   . ')' : '',
           $self->{seed};

    return;
}


1;
